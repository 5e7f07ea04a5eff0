package deb

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/debfile"
	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/trace"
)

// Choose implements distro.Family.
func (f *Family) Choose(ctx context.Context, r distro.Request) (*distro.Choice, error) {
	a, err := f.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer trace.Region("solve")()
	local, err := localPackages(r.Definition)
	if err != nil {
		return nil, err
	}
	problem := f.problem(a, r, local)
	solution, err := solve.Solve(problem)
	if err != nil {
		return nil, located(r.Definition, err)
	}
	steps, err := planned(solution, firstTurn(r, local))
	if err != nil {
		return nil, fmt.Errorf("%s: planning the installation: %w", r.Definition.File, err)
	}
	l := &locker{request: r, archive: a, solution: solution, implied: map[string]string{}}
	for _, i := range r.Implied {
		l.implied[i.Package] = i.Key
	}
	return &distro.Choice{Lock: l.lock(steps), Notes: append(a.Notes, snapNotes(solution)...)}, nil
}

// planned orders the installation, in two turns where there is a first one.
func planned(s *solve.Solution, first func(*control.Package) bool) ([]order.Step, error) {
	if first == nil {
		return s.Plan()
	}
	return s.PlanTurns(first)
}

// located puts the definition's name before an error that has no position.
func located(d *machine.Definition, err error) error {
	if strings.HasPrefix(err.Error(), filepath.Dir(d.File)) || strings.Contains(err.Error(), filepath.Base(d.File)+":") {
		return err
	}
	return fmt.Errorf("%s: %w", d.File, err)
}

// problem is the request in the resolver's terms.
func (f *Family) problem(a *archive.Archive, r distro.Request, local []*control.Package) solve.Problem {
	d := r.Definition
	p := solve.Problem{
		Packages: append(append([]*control.Package(nil), a.Packages...), local...),
		Native:   d.Arch, Recommends: d.Recommends, BaseSet: baseSet(d), Suite: d.Release(),
	}
	if d.Mirror.None {
		p.Suite = ""
	}
	for i, spec := range d.Packages {
		from := fmt.Sprintf("%s: packages", d.At(fmt.Sprintf("packages.%d", i)))
		p.Want = append(p.Want, solve.Want{Spec: wantSpec(d, spec, local), From: from})
	}
	for _, i := range r.Implied {
		p.Want = append(p.Want, solve.Want{Spec: i.Package, From: fmt.Sprintf("%s: %s", d.At(i.Key), i.Key)})
	}
	f.pinPrior(&p, r.Prior)
	return p
}

func baseSet(d *machine.Definition) string {
	if d.Base == "" {
		return "minbase"
	}
	return d.Base
}

// wantSpec translates a word of packages: for the resolver.
func wantSpec(d *machine.Definition, spec string, local []*control.Package) string {
	if isLocal(spec) {
		for _, p := range local {
			if p.Filename == spec {
				return p.Name + "=" + p.Version
			}
		}
	}
	if name, suite, ok := strings.Cut(spec, "/"); ok && suite == "backports" {
		return name + "/" + d.Release() + "-backports"
	}
	return spec
}

// priorPriority makes a locked version win over newer ones, as long as the
// definition does not ask for another.
const priorPriority = 1001

// pinPrior keeps the versions of an existing lock. One that the archive has
// dropped meanwhile is offered from the store.
func (f *Family) pinPrior(p *solve.Problem, prior *plan.Lock) {
	if prior == nil {
		return
	}
	have := map[string]bool{}
	for _, c := range p.Packages {
		have[c.ID()] = true
	}
	for _, locked := range prior.Packages {
		p.Pins = append(p.Pins, solve.Pin{Package: locked.Name, Pin: "version " + locked.Version, Priority: priorPriority})
		if have[locked.ID()] || !f.store.HasObject("deb", locked.SHA256) {
			continue
		}
		c, err := debfile.Control(f.store.ObjectPath("deb", locked.SHA256))
		if err != nil || c.SHA256 != locked.SHA256 {
			continue // not usable: a newer version is taken, and said
		}
		p.Packages = append(p.Packages, c)
	}
}

// locker turns a solution into a lock.
type locker struct {
	request  distro.Request
	archive  *archive.Archive
	solution *solve.Solution
	implied  map[string]string
}

func (l *locker) lock(steps []order.Step) *plan.Lock {
	d, class := l.request.Definition, l.request.Class
	out := &plan.Lock{
		Version: plan.LockVersion, System: d.System, Arch: d.Arch, Date: l.archive.Date.UTC(),
		Request: map[plan.Class]string{}, Base: map[plan.Class][]string{class: {}},
		Rest: map[plan.Class][]string{class: {}}, Steps: map[plan.Class][]plan.Step{class: {}},
	}
	for _, r := range l.archive.Releases {
		out.Indexes = append(out.Indexes, plan.Index{Suite: r.Suite, URL: officialRelease(d, r), Release: r.SHA256, Date: r.Date.UTC()})
	}
	for _, p := range l.solution.Base {
		out.Base[class] = append(out.Base[class], p.ID())
		out.Packages = append(out.Packages, l.pin(p))
	}
	for _, s := range steps {
		step := plan.Step{Op: string(s.Op)}
		for _, p := range s.Packages {
			step.Packages = append(step.Packages, p.Name+":"+p.Architecture)
			if s.Op == order.Unpack {
				out.Rest[class] = append(out.Rest[class], p.ID())
				out.Packages = append(out.Packages, l.pin(p))
			}
		}
		out.Steps[class] = append(out.Steps[class], step)
	}
	return out
}

// pin is one package as the lock records it.
func (l *locker) pin(p *control.Package) plan.Package {
	out := plan.Package{
		Name: p.Name, Version: p.Version, Arch: p.Architecture, SHA256: p.SHA256, Size: p.Size,
		File: p.Filename, Auto: l.solution.Auto[p.ID()],
	}
	if p.Origin != nil {
		out.Suite = p.Origin.Suite
		out.URL = declared(l.request.Definition, p.Origin)
	} else if prior := l.request.Prior; prior != nil {
		if locked, ok := prior.Find(p.ID()); ok {
			out.File, out.Suite, out.URL = locked.File, locked.Suite, locked.URL
		}
	}
	reason, ok := l.solution.Reason[p.ID()]
	switch {
	case !ok || reason.Asked == "the base":
		out.Why = "base"
	case reason.Asked != "":
		out.Why = "definition"
		out.ImpliedBy = l.implied[p.Name]
	default:
		out.Why = reason.By
	}
	for _, spec := range l.request.Definition.Packages {
		if spec == p.Name {
			out.ImpliedBy = "" // asked for by name, whatever else needs it
		}
	}
	return out
}

// declared is the repository's address when the package is not from the
// distribution itself.
func declared(d *machine.Definition, o *control.Origin) string {
	for _, r := range d.Repositories {
		if strings.TrimRight(r.URL, "/") == strings.TrimRight(o.Base, "/") && r.Suite == o.Suite {
			return strings.TrimRight(r.URL, "/")
		}
	}
	return ""
}

// officialRelease is the address of a release file that does not depend on
// the host's mirror.
func officialRelease(d *machine.Definition, r archive.Release) string {
	for _, repo := range d.Repositories {
		if strings.TrimRight(repo.URL, "/") == strings.TrimRight(r.Base, "/") && repo.Suite == r.Suite {
			return r.URL
		}
	}
	return officialBase(d, r.Suite) + "/dists/" + r.Suite + "/InRelease"
}
