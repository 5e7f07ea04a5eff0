package machine

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Options change how a definition is loaded.
type Options struct {
	// Set are overrides "dotted.path=YAML value", applied last, in order.
	// A number in the path is the index of a list entry. Relative paths in
	// them start from the working folder.
	Set []string
	// HostArch is the architecture that an absent arch stands for; "" means
	// that of this program.
	HostArch string

	over []override // of a list of machines, applied before Set
	dirs map[string]string
}

// Load reads the definition at path with everything it includes, applies
// conditional parts and overrides, checks it and fills in defaults. The error
// is of type Problems and holds all that is wrong. A system that this version
// cannot build yet is no error here; see Supported.
func Load(path string, opt Options) (*Definition, error) {
	if opt.HostArch == "" {
		opt.HostArch = hostArch()
	}
	c := newCollector()
	l := &loader{c: c, dirs: map[string]string{}, loaded: map[string]bool{}}
	for name, dir := range opt.dirs {
		l.dirs[name] = dir
	}
	l.load(path, nil, Position{})
	overrides := append(slices.Clone(opt.over), parseOverrides(c, opt.Set)...)
	if len(l.sources) == 0 || l.sources[len(l.sources)-1].name != path {
		return nil, c.sorted().Err()
	}
	for _, src := range l.sources {
		l.check(src)
	}
	for _, o := range overrides {
		findSecrets(c, o.value, strings.Join(o.keys, "."))
	}
	merged := l.merged(overrides, opt)
	d := l.definition(merged, opt)
	if err := c.sorted().Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// check looks at one file by itself, also at parts that do not apply here.
func (l *loader) check(src *source) {
	d := newDecoder(l.c, l.base)
	d.removals = true
	d.decode(src.root, "", reflect.New(reflect.TypeFor[Definition]()).Elem(), field{})
	src.replace = d.replaceKeys(src.root.get("replace"), src.body, "replace")
	d.parts(src)
	findSecrets(l.c, src.root, "")
}

// merged puts the files, their conditional parts and the overrides together.
func (l *loader) merged(overrides []override, opt Options) *node {
	quiet := newCollector() // what is wrong is reported by the second round
	plain := mergeSources(quiet, l.sources, nil)
	f := factsOf(applyOverrides(quiet, plain, overrides), opt.HostArch)
	all := mergeSources(l.c, l.sources, f)
	return applyOverrides(l.c, all, overrides)
}

// mergeSources merges files, lowest first, each with the conditional parts
// that match; without facts none does.
func mergeSources(c *collector, sources []*source, f facts) *node {
	var out *node
	for _, src := range sources {
		m := &merger{c: c, replace: src.replace}
		out = m.merge(out, src.body, "")
		for _, p := range src.parts {
			if f != nil && p.match(f) {
				m := &merger{c: c, replace: p.replace}
				out = m.merge(out, p.body, "")
			}
		}
	}
	return out
}

// definition turns the merged values into a checked definition.
func (l *loader) definition(merged *node, opt Options) *Definition {
	main := l.sources[len(l.sources)-1]
	d := &Definition{File: main.abs, Set: map[string]Position{}}
	dec := newDecoder(l.c, l.base)
	dec.decode(merged, "", reflect.ValueOf(d).Elem(), field{})
	d.positions, d.relative = dec.positions, dec.relative
	for _, p := range merged.pairs {
		d.Set[p.key] = p.pos
	}
	for _, src := range l.sources[:len(l.sources)-1] {
		if src.abs != "" { // not a board that slipway brings
			d.Include = append(d.Include, src.abs)
		}
	}
	l.required(d, main)
	d.fill(opt)
	v := &validator{c: l.c, d: d, bad: dec.bad, name: main.name}
	v.validate()
	return d
}

// required reports the keys that every machine has.
func (l *loader) required(d *Definition, main *source) {
	missing := func(key, hint string, structural bool) {
		l.c.add(Problem{Pos: Position{File: main.name, Line: 1, Column: 1}, Key: key,
			Message: fmt.Sprintf("the key %q is missing", key), Hint: hint, structural: structural})
	}
	if _, set := d.Set["slipway"]; !set || main.root.get("slipway") == nil && !strings.HasPrefix(d.Set["slipway"].File, "--set") {
		missing("slipway", "start with: slipway: v1", true)
	}
	alone := main.root.get("include") == nil
	for _, key := range []string{"name", "system"} {
		if _, set := d.Set[key]; !set {
			f, _ := fieldOf(reflect.TypeFor[Definition](), key)
			missing(key, "for example "+key+": "+f.example, alone)
		}
	}
}

// fill sets the defaults that are the same for every machine.
func (d *Definition) fill(opt Options) {
	setDefault(&d.Arch, opt.HostArch)
	setDefault(&d.Init, "auto")
	setDefault(&d.Restart, "never")
	if row, ok := distributionOf(d.System); ok && d.Base == "" && len(row.bases) > 0 {
		d.Base = row.bases[0]
	}
	for i := range d.Files {
		d.Files[i].fill()
	}
	for i := range d.Mounts {
		setDefault(&d.Mounts[i].Type, "auto")
		setDefault(&d.Mounts[i].Options, "defaults")
	}
	if d.Netboot != nil && len(d.Network) == 0 && !strings.HasPrefix(d.Init, "/") { // on the network, but nothing says how
		d.Network = []Network{{Match: "en* eth* host0", DHCP: true}}
		if d.Family() == "apk" { // whose ifup takes no patterns
			d.Network[0].Match = "eth0"
		}
	}
	d.fillProbes()
}

func setDefault[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

// fill sets the owner and mode of one file. A folder copied from the host
// keeps an empty mode: its files have 0644 and its folders 0755.
func (f *File) fill() {
	setDefault(&f.Owner, "root:root")
	if f.Mode != "" || f.Link != "" || strings.HasSuffix(f.Path, "/") {
		return
	}
	f.Mode = "0644"
	if f.Secret != nil {
		f.Mode = "0600"
	}
}

// Folder tells whether the file is a folder of the machine that takes a
// folder's content.
func (f File) Folder() bool { return strings.HasSuffix(f.Path, "/") }

// relativeTo writes an absolute path of the host as it was written if that
// was relative, seen from the folder of the definition.
func (d *Definition) relativeTo(path string) string {
	if _, ok := d.relative[path]; !ok {
		return path
	}
	rel, err := filepath.Rel(filepath.Dir(d.File), path)
	if err != nil {
		return path
	}
	if !strings.HasPrefix(rel, "../") {
		rel = "./" + rel
	}
	if strings.HasSuffix(path, "/") {
		rel += "/"
	}
	return rel
}

// uniqueName returns name, numbered if it is taken.
func uniqueName(name string, taken []string) string {
	out := name
	for n := 2; slices.Contains(taken, out); n++ {
		out = fmt.Sprintf("%s-%d", name, n)
	}
	return out
}
