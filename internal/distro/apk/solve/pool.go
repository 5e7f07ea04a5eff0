// Package solve chooses Alpine packages as apk-tools 2.14 does: given what the
// repositories offer and what the world asks for, it finds the same set, in the
// same order of installation.
//
// Like apk's it decides one name at a time and spreads what follows from each
// decision (a package whose dependency nobody can fulfil any more is out, what
// all candidates need is needed), and it never takes a decision back: what it
// cannot fulfil then is an error, as it is for apk. It knows repository tags,
// providers and their priority, install_if, conflicts and fuzzy versions. There
// is nothing installed: a tree is always made anew.
//
// The package downloads nothing and does not judge signatures.
package solve

import (
	"slipway/internal/distro/apk/index"
	"slipway/internal/distro/apk/murmur"
)

// Repository is one source of packages, by its number in Package.Repository.
type Repository struct {
	Tag string // "" for the untagged, from which everything may come
}

// name is a word that packages provide: their own, so:, cmd:, pc: and others.
type name struct {
	text      string
	providers []provider
	rdepends  []*name // names of which some provider depends on this one
	riif      []*name // names of which some provider is installed if this one is
	kind      int     // 0: packages of that name only; 1: others too; 2: only others
	asked     bool
	nameState
}

// candidate is a package with its names looked up.
type candidate struct {
	*index.Package
	name      *name
	depends   []dependency
	provides  []dependency
	installIf []dependency
	repos     uint64 // the repositories it is in
	prior     bool   // the lock had it
	candidateState
}

type dependency struct {
	index.Dependency
	name *name
}

// provider is a candidate under one of its names; version is "" if it provides
// the name without one.
type provider struct {
	c       *candidate
	version string
}

// none is what a name is assigned that nothing provides.
var none provider

// provides tells whether p satisfies the dependency.
func (d *dependency) by(p provider) bool {
	if p.c == nil {
		return d.Conflict
	}
	return d.Holds(p.version, p.c.Identity)
}

// pool is all names and candidates.
type pool struct {
	names      map[string]*name
	order      []*name // in the order of their first mention
	candidates []*candidate
	byIdentity map[string]*candidate
	tags       []string // the first is "", the untagged
	allowed    []uint64 // by tag: its repositories
}

func newPool(repositories []Repository, packages []*index.Package) *pool {
	p := &pool{names: make(map[string]*name, 4*len(packages)), byIdentity: make(map[string]*candidate, len(packages)),
		tags: []string{""}, allowed: []uint64{0}}
	for i, r := range repositories {
		p.allowed[p.tag(r.Tag)] |= 1 << i
	}
	for _, pkg := range packages {
		p.add(pkg)
	}
	p.link()
	return p
}

func (p *pool) tag(text string) int {
	for i, t := range p.tags {
		if t == text {
			return i
		}
	}
	p.tags, p.allowed = append(p.tags, text), append(p.allowed, 0)
	return len(p.tags) - 1
}

func (p *pool) name(text string) *name {
	n := p.names[text]
	if n == nil {
		n = &name{text: text}
		p.names[text] = n
		p.order = append(p.order, n)
	}
	return n
}

func (p *pool) look(list []index.Dependency) []dependency {
	out := make([]dependency, len(list))
	for i, d := range list {
		out[i] = dependency{d, p.name(d.Name)}
	}
	return out
}

// add enters a package; one that several repositories have is one candidate.
func (p *pool) add(pkg *index.Package) {
	repos := uint64(0)
	if pkg.Local == "" {
		repos = 1 << pkg.Repository
	}
	if c := p.byIdentity[pkg.Identity]; c != nil {
		c.repos |= repos
		if c.Local == "" {
			c.Local = pkg.Local
		}
		return
	}
	c := &candidate{Package: pkg, repos: repos, name: p.name(pkg.Name)}
	c.depends, c.provides, c.installIf = p.look(pkg.Depends), p.look(pkg.Provides), p.look(pkg.InstallIf)
	p.byIdentity[pkg.Identity] = c
	p.candidates = append(p.candidates, c)
	c.name.providers = append(c.name.providers, provider{c, pkg.Version})
	for _, d := range c.provides {
		d.name.providers = append(d.name.providers, provider{c, d.Version})
	}
}

// link finds who depends on whom, by name. apk goes through its table of names
// by their hash; the order decides between equals.
func (p *pool) link() {
	for _, n := range murmur.Order(p.order, func(n *name) string { return n.text }) {
		others := 0
		needs, wants := map[*name]bool{}, map[*name]bool{}
		for _, pr := range n.providers {
			if pr.c.name != n {
				others++
			}
			for _, d := range pr.c.depends {
				if !needs[d.name] {
					needs[d.name] = true
					d.name.rdepends = append(d.name.rdepends, n)
				}
			}
			for _, d := range pr.c.installIf {
				if !wants[d.name] {
					wants[d.name] = true
					d.name.riif = append(d.name.riif, n)
				}
			}
		}
		switch {
		case others == 0:
			n.kind = 0
		case others != len(n.providers):
			n.kind = 1
		default:
			n.kind = 2
		}
	}
}
