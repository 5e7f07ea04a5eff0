package build

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/trace"
)

// Prepared is a definition with every input pinned and every layer's key known.
type Prepared struct {
	Definition *machine.Definition
	Class      plan.Class
	Implied    []distro.Implied
	Lock       *plan.Lock
	Base, Rest []plan.Package
	Shared     plan.Turn // what the system layer installs; empty without one
	Added      plan.Turn // what the packages layer installs
	Layers     []Layer   // base, system, packages, and what the definition adds
	Notes      []string
	Changes    []plan.Change // what was resolved beyond an existing lock
}

// Layer is one step of the tree, known by the key of all its inputs.
type Layer struct {
	Kind   string `json:"kind"` // base, system, packages, definition, secrets
	Key    string `json:"key"`
	Parent string `json:"parent"`
}

// Key is the key of the top layer.
func (p *Prepared) Key() string { return p.Layers[len(p.Layers)-1].Key }

// Packages lists everything that is installed, in unpack order.
func (p *Prepared) Packages() []plan.Package {
	return append(append([]plan.Package(nil), p.Base...), p.Rest...)
}

// LockFile is where the lock of a definition lives.
func LockFile(d *machine.Definition) string { return d.File + ".lock" }

// Prepare obeys the definition's lock where it is valid and resolves what it
// does not cover. It writes only to the store.
func (b *Builder) Prepare(ctx context.Context, d *machine.Definition, opt Options) (*Prepared, error) {
	if d.FromImage() {
		return nil, fmt.Errorf("%s: a stock image is not built; start it with slipway up --on vm", d.At("from"))
	}
	file := opt.LockFile
	if file == "" {
		file = LockFile(d)
	}
	locked, err := plan.ReadLock(file)
	if err != nil {
		return nil, err
	}
	return b.prepareWith(ctx, d, opt, locked)
}

// prepareWith is Prepare with a given lock, which may be nil.
func (b *Builder) prepareWith(ctx context.Context, d *machine.Definition, opt Options, locked *plan.Lock) (*Prepared, error) {
	defer trace.Region("prepare")()
	if err := d.Supported(); err != nil {
		return nil, err
	}
	if err := d.CheckFiles(false); err != nil {
		return nil, err
	}
	family, err := b.family(d)
	if err != nil {
		return nil, err
	}
	if opt.Class == "" {
		opt.Class = plan.Plain
	}
	p := &Prepared{Definition: d, Class: opt.Class, Implied: family.Implied(d, opt.Class)}
	if err := b.choose(ctx, family, p, locked, opt); err != nil {
		return nil, err
	}
	if p.Base, p.Rest, err = p.Lock.Select(p.Class); err != nil {
		return nil, fmt.Errorf("%s: %w", LockFile(d), err)
	}
	if p.Shared, p.Added, err = turns(p); err != nil {
		return nil, fmt.Errorf("%s: %w", LockFile(d), err)
	}
	p.Layers, err = b.layers(p)
	return p, err
}

// turns divides the installation between the shared layer and the machine's
// own. Debconf's answers and the first hooks come before all packages, so that
// with them nothing is shared.
func turns(p *Prepared) (shared, own plan.Turn, err error) {
	shared, own, err = p.Lock.Turns(p.Class)
	if len(p.Definition.Debconf)+len(p.Definition.Hooks.Essential) > 0 {
		own.Steps = p.Lock.Steps[p.Class]
		own.Packages = p.Rest
		shared = plan.Turn{}
	}
	return shared, own, err
}

// choose fills p.Lock: from the lock file, from a choice made before against
// the same indexes, or anew.
func (b *Builder) choose(ctx context.Context, family distro.Family, p *Prepared, locked *plan.Lock, opt Options) error {
	request, err := requestDigest(p.Definition, p.Class, p.Implied)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Definition.File, err)
	}
	if locked != nil && locked.Has(p.Class) && locked.Request[p.Class] == request && locked.Arch == p.Definition.Arch && locked.System == p.Definition.System {
		p.Lock = locked
		return nil
	}
	if opt.Locked {
		return lockedRefusal(p, locked)
	}
	r := distro.Request{Definition: p.Definition, Class: p.Class, Implied: p.Implied, Prior: locked, Refresh: opt.Refresh, Offline: opt.Offline}
	choice, err := b.remembered(ctx, family, r, request, func() (*distro.Choice, error) {
		step := b.Progress.Step("resolve packages")
		choice, err := family.Choose(ctx, r)
		step.Done(err)
		freeIndexes()
		return choice, err
	})
	if err != nil {
		return err
	}
	choice.Lock.Request = map[plan.Class]string{p.Class: request}
	p.Lock, p.Notes = choice.Lock, choice.Notes
	if locked != nil {
		p.Changes = plan.Differences(lockedPackages(locked, p.Class), p.Lock.Packages)
		p.Notes = append(p.Notes, differenceNote(p))
		p.Lock.Users, p.Lock.Groups = locked.Users, locked.Groups
	}
	return nil
}

func lockedPackages(l *plan.Lock, class plan.Class) []plan.Package {
	base, rest, err := l.Select(class)
	if err != nil || !l.Has(class) {
		return nil
	}
	return append(base, rest...)
}

func lockedRefusal(p *Prepared, locked *plan.Lock) error {
	file := LockFile(p.Definition)
	switch {
	case locked == nil:
		return fmt.Errorf("--locked: %s does not exist (write it with: slipway lock %s)", file, p.Definition.File)
	case !locked.Has(p.Class):
		return fmt.Errorf("--locked: %s does not pin the packages of class %s (renew it with: slipway lock %s)", file, p.Class, p.Definition.File)
	}
	return fmt.Errorf("--locked: %s was written for other packages than %s asks for now (renew it with: slipway lock %s)",
		file, p.Definition.File, p.Definition.File)
}

func differenceNote(p *Prepared) string {
	var words []string
	for i, c := range p.Changes {
		if i == 8 {
			words = append(words, fmt.Sprintf("and %d more", len(p.Changes)-i))
			break
		}
		words = append(words, c.String())
	}
	if len(words) == 0 {
		words = []string{"no package changed"}
	}
	return fmt.Sprintf("%s does not cover this definition; resolved the difference: %s (record it with: slipway lock %s)",
		LockFile(p.Definition), strings.Join(words, ", "), p.Definition.File)
}

// remembered keeps choices in the store under the digest of the request and of
// the indexes that answered it, because loading indexes costs more than all
// else of a build that has nothing to do.
func (b *Builder) remembered(ctx context.Context, family distro.Family, r distro.Request, request string,
	choose func() (*distro.Choice, error)) (*distro.Choice, error) {
	prior := ""
	if r.Prior != nil {
		prior = r.Prior.Digest()
	}
	name := func() string {
		print, err := family.Fingerprint(ctx, r)
		if err != nil || print == "" {
			return ""
		}
		return digest(formatVersion, request, print, prior)
	}
	if !r.Refresh {
		if key := name(); key != "" {
			if data, ok := b.note("choice", key); ok {
				if lock, err := plan.DecodeLock("remembered choice", data); err == nil {
					return &distro.Choice{Lock: lock}, nil
				}
			}
		}
	}
	choice, err := choose()
	if err != nil {
		return nil, err
	}
	if key := name(); key != "" {
		keep := *choice.Lock
		keep.Request = map[plan.Class]string{r.Class: request}
		if err := b.putNote("choice", key, keep.Encode()); err != nil {
			choice.Notes = append(choice.Notes, "the choice of packages could not be remembered: "+err.Error())
		}
	}
	return choice, nil
}

// layers computes the key of every layer from all that goes into it.
func (b *Builder) layers(p *Prepared) ([]Layer, error) {
	d := p.Definition
	family, err := b.family(d)
	if err != nil {
		return nil, err
	}
	sources, err := family.Sources(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.File, err)
	}
	base := digest(formatVersion, "base", d.System, d.Arch, d.Base, hashes(p.Base), exact(sources), p.Lock.Date.Unix())
	layers := []Layer{{"base", base, ""}}
	below := base
	if len(p.Shared.Steps) > 0 {
		// Nothing else of the definition enters it: it is shared.
		below = digest(formatVersion, "system", base, hashes(p.Shared.Packages), p.Shared.Steps, skipInitramfs(p))
		layers = append(layers, Layer{"system", below, base})
	}
	packages := digest(formatVersion, "packages", below, hashes(p.Added.Packages), automatic(p.Packages()), p.Added.Steps, d.Debconf,
		hookCommands(d.Hooks.Essential), skipInitramfs(p), p.Lock.Users, p.Lock.Groups)
	layers = append(layers, Layer{"packages", packages, below})
	if hasContent(d) {
		content, err := contentDigest(d, p.Class)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.File, err)
		}
		key := digest(formatVersion, "definition", packages, content)
		layers = append(layers, Layer{"definition", key, packages})
	}
	if secret, err := b.secretDigest(d); err != nil {
		return nil, fmt.Errorf("%s: %w", d.File, err)
	} else if secret != "" {
		parent := layers[len(layers)-1].Key
		layers = append(layers, Layer{"secrets", digest(formatVersion, "secrets", parent, secret), parent})
	}
	return layers, nil
}

// hookCommands are commands without their positions, which change nothing.
func hookCommands(list []machine.Command) []machine.Command {
	out := append([]machine.Command(nil), list...)
	for i := range out {
		out[i].Pos = machine.Position{}
	}
	return out
}

// hasContent tells whether the definition changes the tree beyond its packages.
func hasContent(d *machine.Definition) bool {
	return len(d.Files)+len(d.Users)+len(d.Services.Enable)+len(d.Services.Disable)+len(d.Sysctl)+
		len(d.Mounts)+len(d.Network)+len(d.Slim)+len(d.Run)+len(d.Hooks.Customize) > 0 ||
		d.Hostname != "" || d.Timezone != "" || d.Locale != "" || d.ChosenTime() != ""
}

// skipInitramfs: a container starts no kernel, so it needs no initramfs; and
// what is booted has slipway's unless it asks for the distribution's.
func skipInitramfs(p *Prepared) bool { return noInitramfs(p.Definition, p.Class) }

func noInitramfs(d *machine.Definition, class plan.Class) bool {
	return class == plan.Container || class == plan.Bootable && !d.DistroInitramfs()
}

func hashes(packages []plan.Package) []string {
	out := make([]string, len(packages))
	for i, p := range packages {
		out[i] = p.SHA256
	}
	return out
}

// automatic lists the packages that the machine's package manager is told it
// may remove again.
func automatic(packages []plan.Package) []string {
	var out []string
	for _, p := range packages {
		if p.Auto {
			out = append(out, p.ID())
		}
	}
	return out
}

// exact keeps every byte in a key: the encoding takes only valid UTF-8 in
// strings as it is, and a keyring is not that.
func exact(files map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for name, content := range files {
		out[name] = []byte(content)
	}
	return out
}

func cut(system string) (name, release string, ok bool) { return strings.Cut(system, "/") }

// encode is for messages to the worker.
func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
