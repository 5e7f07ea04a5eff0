package apk

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/distro/apk/index"
	"slipway/internal/distro/apk/solve"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/trace"
)

// choice is one resolution in the making.
type choice struct {
	family   *Family
	request  distro.Request
	archive  *archive.Archive
	locals   map[string]*index.Package // by path
	problem  solve.Problem
	solution *solve.Solution
	implied  map[string]string // name: key
	asked    map[string]bool   // names of the world
	digests  map[string]digest // by identity
	notes    []string
}

// Choose implements distro.Family.
func (f *Family) Choose(ctx context.Context, r distro.Request) (*distro.Choice, error) {
	a, err := f.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer trace.Region("solve")()
	c := &choice{family: f, request: r, archive: a, locals: map[string]*index.Package{}, implied: map[string]string{}, asked: map[string]bool{}}
	if err := c.readLocals(); err != nil {
		return nil, err
	}
	if err := c.ask(); err != nil {
		return nil, err
	}
	if c.solution, err = solve.Solve(c.problem); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Definition.File, err)
	}
	if err := c.pinDigests(ctx); err != nil {
		return nil, err
	}
	return &distro.Choice{Lock: c.lock(), Notes: append(a.Notes, c.notes...)}, nil
}

// readLocals reads the packages that the definition names by path. One that
// nobody known has signed is taken because it is named; a signature that is
// wrong is never taken.
func (c *choice) readLocals() error {
	d := c.request.Definition
	list, err := sources(d)
	if err != nil {
		return err
	}
	arch, err := archive.Arch(d.Arch)
	if err != nil {
		return err
	}
	for i, spec := range d.Packages {
		if !machine.IsLocalPackage(spec) {
			continue
		}
		at := d.At(fmt.Sprintf("packages.%d", i))
		info, err := apkfile.Read(spec)
		if err != nil {
			return fmt.Errorf("%s: packages: %w", at, err)
		}
		if info.Arch != "noarch" && info.Arch != arch {
			return fmt.Errorf("%s: packages: %s is for %s, the machine is %s", at, spec, info.Arch, arch)
		}
		if _, err := info.Signed(trusted(list)); errors.Is(err, apkfile.ErrStranger) {
			c.notes = append(c.notes, fmt.Sprintf("%s is taken because the definition names it: no key that is trusted has signed it", info.ID()))
		} else if err != nil {
			return fmt.Errorf("%s: packages: %s: %w", at, spec, err)
		}
		p := info.Package
		p.Local = spec
		c.locals[spec] = &p
	}
	return nil
}

// ask fills in the problem.
func (c *choice) ask() error {
	d := c.request.Definition
	for _, r := range c.archive.Repositories {
		c.problem.Repositories = append(c.problem.Repositories, solve.Repository{Tag: r.Tag})
	}
	c.problem.Packages = c.archive.Packages
	set, err := baseSet(d)
	if err != nil {
		return err
	}
	for _, name := range set {
		c.want(&c.problem.Base, index.Dependency{Name: name, Ops: 7}, "the base set")
	}
	for i, spec := range d.Packages {
		from := fmt.Sprintf("%s: packages", d.At(fmt.Sprintf("packages.%d", i)))
		if p := c.locals[spec]; p != nil {
			c.problem.Packages = append(c.problem.Packages, p)
			c.want(&c.problem.World, index.Dependency{Name: p.Name, Ops: 6, Checksum: true, Version: p.Identity}, from)
			continue
		}
		dep, err := parseSpec(spec)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		c.want(&c.problem.World, dep, from)
	}
	for _, i := range c.request.Implied {
		if !c.asked[i.Package] {
			c.implied[i.Package] = i.Key
			c.want(&c.problem.World, index.Dependency{Name: i.Package, Ops: 7}, fmt.Sprintf("%s: %s", d.At(i.Key), i.Key))
		}
	}
	return c.keepPrior()
}

func (c *choice) want(list *[]solve.Want, d index.Dependency, from string) {
	c.asked[d.Name] = true
	*list = append(*list, solve.Want{Dependency: d, From: from})
}

// keepPrior lets the versions of an existing lock win. One that the repository
// has dropped meanwhile is offered from the store.
func (c *choice) keepPrior() error {
	prior := c.request.Prior
	if prior == nil {
		return nil
	}
	c.problem.Prior = map[string]bool{}
	have := map[string]*index.Package{}
	for _, p := range c.problem.Packages {
		have[p.Name+"="+p.Version] = p
	}
	store := c.family.store
	for _, locked := range prior.Packages {
		if p := have[locked.Name+"="+locked.Version]; p != nil {
			c.problem.Prior[p.Identity] = true
			continue
		}
		if locked.Suite == "" || !store.HasObject("apk", locked.SHA256) {
			continue // a newer version is taken, and said
		}
		info, err := apkfile.Read(store.ObjectPath("apk", locked.SHA256))
		if err != nil || info.Name != locked.Name || info.Version != locked.Version {
			continue
		}
		p := info.Package
		p.Local, p.SHA256, p.Arch = store.ObjectPath("apk", locked.SHA256), locked.SHA256, locked.Arch
		c.problem.Packages = append(c.problem.Packages, &p)
		c.problem.Prior[p.Identity] = true
	}
	return nil
}

// words are the lines of the machine's world.
func words(wants ...[]solve.Want) []string {
	byName := map[string]string{}
	var names []string
	for _, list := range wants {
		for _, w := range list {
			if _, twice := byName[w.Name]; !twice {
				names = append(names, w.Name)
			}
			byName[w.Name] = w.Dependency.String()
		}
	}
	sort.Slice(names, func(i, j int) bool { return index.Before(names[i], names[j]) })
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = byName[n]
	}
	return out
}

// lock records the solution.
func (c *choice) lock() *plan.Lock {
	d, class := c.request.Definition, c.request.Class
	out := &plan.Lock{
		Version: plan.LockVersion, System: d.System, Arch: d.Arch, Date: c.archive.Date.UTC(),
		Request: map[plan.Class]string{}, Base: map[plan.Class][]string{class: {}},
		Rest: map[plan.Class][]string{class: {}}, Steps: map[plan.Class][]plan.Step{class: {}},
	}
	for _, r := range c.archive.Repositories {
		out.Indexes = append(out.Indexes, plan.Index{Suite: suiteOf(d, r), URL: r.Official + "/" + c.arch() + "/APKINDEX.tar.gz", Release: r.SHA256, Date: r.Date.UTC()})
	}
	add := func(ids *[]string, list []*index.Package) (names []string) {
		for _, p := range list {
			pinned := c.pin(p)
			*ids = append(*ids, pinned.ID())
			out.Packages = append(out.Packages, pinned)
			names = append(names, pinned.Name+":"+pinned.Arch)
		}
		return names
	}
	base, rest := out.Base[class], out.Rest[class]
	add(&base, c.solution.Base)
	names := add(&rest, c.solution.Rest)
	out.Base[class], out.Rest[class] = base, rest
	if len(names) > 0 {
		out.Steps[class] = append(out.Steps[class], plan.Step{Op: "unpack", Packages: names})
	}
	out.Steps[class] = append(out.Steps[class], plan.Step{Op: "world", Packages: words(c.problem.Base, c.problem.World)})
	if class != plan.Plain && d.InitSystem() == "openrc" {
		out.Steps[class] = append(out.Steps[class], plan.Step{Op: "runlevels", Packages: []string{string(class)}})
	}
	out.Steps[class] = append(out.Steps[class], plan.Step{Op: "configure-pending"})
	return out
}

func (c *choice) arch() string {
	name, _ := archive.Arch(c.request.Definition.Arch)
	return name
}

// suiteOf names a repository in a lock: a component, "@tag" or its address.
func suiteOf(d *machine.Definition, r archive.Repository) string {
	switch rest, own := strings.CutPrefix(r.Official, officialBase(d)+"/"); {
	case r.Tag != "":
		return "@" + r.Tag
	case own:
		return rest
	}
	return "declared"
}

// pin is one package as the lock records it.
func (c *choice) pin(p *index.Package) plan.Package {
	d := c.request.Definition
	known := c.digests[p.Identity]
	out := plan.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, SHA256: known.SHA256, Size: known.Size,
		Auto: !c.asked[p.Name], Why: c.solution.Why[p], ImpliedBy: c.implied[p.Name]}
	if p.Local != "" {
		out.File = p.Local
		if prior := c.request.Prior; prior != nil {
			if locked, ok := prior.Find(out.ID()); ok {
				out.File, out.Suite, out.URL = locked.File, locked.Suite, locked.URL
			}
		}
		return out
	}
	r := c.archive.Repositories[p.Repository]
	out.Suite = suiteOf(d, r)
	out.File = c.arch() + "/" + p.File()
	if r.Base == strings.TrimRight(r.Official, "/") && !strings.HasPrefix(r.Official, officialBase(d)+"/") {
		out.URL = r.Official
	} else {
		out.File = strings.TrimPrefix(r.Official, officialBase(d)+"/") + "/" + out.File
	}
	return out
}
