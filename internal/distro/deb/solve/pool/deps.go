package pool

import (
	"strings"

	"slipway/internal/distro/deb/version"
)

// Type is the field a relation comes from.
type Type uint8

// The relation fields, in the order in which a version lists them.
const (
	PreDepends Type = iota
	Depends
	Conflicts
	Breaks
	Recommends
	Suggests
	Replaces
	Enhances
)

var typeNames = [...]string{"pre-depends on", "depends on", "conflicts with", "breaks", "recommends", "suggests", "replaces", "enhances"}

// String is the verb: "depends on".
func (t Type) String() string { return typeNames[t] }

// Dep is one alternative of one relation of one version.
type Dep struct {
	Parent   *Version
	Target   *Package
	Type     Type
	Or       bool // the next Dep is another alternative of the same relation
	Implicit bool // made by Multi-Arch rules
	Op       string
	Version  string
}

// Negative tells Conflicts and Breaks from the rest.
func (d *Dep) Negative() bool { return d.Type == Conflicts || d.Type == Breaks }

// Critical relations must hold for a version to be installable.
func (d *Dep) Critical() bool { return d.Type <= Breaks }

// String is the relation as a person writes it: "foo (>= 2)".
func (d *Dep) String() string {
	if d.Version == "" {
		return d.Target.Name
	}
	return d.Target.Name + " (" + d.Op + " " + d.Version + ")"
}

// Deps is the list of relations of a version, parsed at first use.
func (p *Pool) Deps(v *Version) []Dep {
	if v.parsed {
		return v.deps
	}
	v.parsed = true
	c := v.Control
	for t, field := range [...]string{c.PreDepends, c.Depends, c.Conflicts, c.Breaks, c.Recommends, c.Suggests, c.Replaces, c.Enhances} {
		scan(field, func(r relation) { p.addDep(v, Type(t), r) })
	}
	p.addImplicit(v)
	return v.deps
}

func (p *Pool) addDep(v *Version, t Type, r relation) {
	d := Dep{Parent: v, Type: t, Or: r.or, Op: r.op, Version: r.version}
	name, qualifier := splitQualifier(r.name)
	switch {
	case qualifier == "native":
		d.Target = p.get(name+":"+p.Native, "any")
	case qualifier != "":
		d.Target = p.get(r.name, "any")
	case t == Conflicts || t == Breaks || t == Replaces:
		group := p.Group(name)
		if len(group) > 1 {
			for _, q := range group {
				d.Target = q
				v.deps = append(v.deps, d)
			}
			return
		}
		if len(group) == 1 {
			d.Target = group[0]
		} else {
			d.Target = p.get(name, v.Package.Arch)
		}
	default:
		d.Target = p.get(name, v.Package.Arch)
	}
	v.deps = append(v.deps, d)
}

// addImplicit makes the other architectures of a name conflict, or for
// Multi-Arch: same break if their version differs.
func (p *Pool) addImplicit(v *Version) {
	for _, q := range p.groupOf(v.Package) {
		if q == v.Package || q.Arch == "any" || len(q.Versions) == 0 {
			continue
		}
		d := Dep{Parent: v, Target: q, Type: Conflicts, Implicit: true}
		if v.MultiArch == MultiArchSame {
			v.deps = append(v.deps, Dep{Parent: v, Target: q, Type: Replaces, Implicit: true, Op: "<<", Version: v.Control.Version})
			d.Type, d.Op, d.Version = Breaks, "!=", v.Control.Version
		}
		v.deps = append(v.deps, d)
	}
}

func (p *Pool) groupOf(pkg *Package) []*Package {
	if len(p.groups[pkg.Name]) == 0 {
		return nil
	}
	return p.Group(pkg.Name)
}

// GlobOr returns the end of the alternatives that begin at i.
func GlobOr(deps []Dep, i int) (next int) {
	for i < len(deps) && deps[i].Or && i+1 < len(deps) {
		i++
	}
	return i + 1
}

// Satisfied tells whether a version string meets the relation's version part.
func (d *Dep) Satisfied(have string) bool {
	if d.Version == "" {
		return true
	}
	if have == "" {
		return false
	}
	c := version.Compare(have, d.Version)
	switch d.Op {
	case "<=", "<":
		return c <= 0
	case ">=", ">":
		return c >= 0
	case "<<":
		return c < 0
	case ">>":
		return c > 0
	case "=":
		return c == 0
	case "!=":
		return c != 0
	}
	return false
}

// Ignores tells whether a package cannot be hit by this relation: a version
// never conflicts with its own package.
func (d *Dep) Ignores(target *Package) bool {
	if !d.Negative() {
		return false
	}
	own := d.Parent.Package
	if own.Name != target.Name {
		return false
	}
	return own == target || d.Parent.MultiArch == MultiArchSame && !d.Implicit
}

// IgnoresProvider is Ignores for a stand-in.
func (d *Dep) IgnoresProvider(pr *Provide) bool {
	if !d.Negative() {
		return false
	}
	same := pr.Owner.Package.Name == d.Parent.Package.Name
	return same || d.Implicit
}

// Targets lists every version in the pool that the relation's name and
// version part match: the package's own versions, then its stand-ins.
func (d *Dep) Targets() []*Version {
	var list []*Version
	for _, v := range d.Target.Versions {
		if !d.Ignores(d.Target) && d.Satisfied(v.Control.Version) {
			list = append(list, v)
		}
	}
	for _, pr := range d.Target.Providers {
		if !d.IgnoresProvider(pr) && d.Satisfied(pr.Version) {
			list = append(list, pr.Owner)
		}
	}
	return list
}

func splitQualifier(name string) (base, qualifier string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
