package pool

import (
	"strings"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/version"
)

// Find is the package of that name in the native architecture, or nil.
// A name may carry a qualifier: "libc6:i386", "python3:any".
func (p *Pool) Find(name string) *Package {
	if pkg := p.native[name]; pkg != nil {
		return pkg
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return p.FindArch(name[:i], name[i+1:])
	}
	return nil
}

// FindArch is the package of that name and architecture, or nil.
func (p *Pool) FindArch(name, arch string) *Package {
	if arch == p.Native || arch == "all" || arch == "any" {
		return p.native[name]
	}
	for _, q := range p.groups[name] {
		if q.Arch == arch {
			return q
		}
	}
	return nil
}

// Group lists all architectures of a name, native first.
func (p *Pool) Group(name string) []*Package {
	rest := p.groups[name]
	first := p.native[name]
	if first == nil {
		return rest
	}
	return append([]*Package{first}, rest...)
}

// All is every package known so far, in order of creation.
func (p *Pool) All() []*Package { return p.all }

// get finds or makes a package.
func (p *Pool) get(name, arch string) *Package {
	if q := p.FindArch(name, arch); q != nil {
		return q
	}
	if arch == "all" {
		arch = p.Native
	}
	q := p.packageSlab.take()
	*q = Package{Name: name, Arch: arch, Index: len(p.all)}
	p.all = append(p.all, q)
	var siblings []*Package
	if len(p.groups) > 0 || q.Arch != p.Native {
		siblings = p.Group(name)
	}
	if arch == p.Native || arch == "any" {
		p.native[name] = q
	} else {
		p.groups[name] = append(p.groups[name], q)
	}
	p.inheritForeign(q, siblings)
	if arch == "any" {
		p.provideQualified(q)
	}
	return q
}

// inheritForeign lets Multi-Arch: foreign versions of the other architectures,
// and what they provide, stand in for a new architecture of a name.
func (p *Pool) inheritForeign(q *Package, siblings []*Package) {
	if len(siblings) == 0 {
		return
	}
	for _, pr := range siblings[0].Providers {
		if pr.Owner.MultiArch == MultiArchForeign && !pr.Implicit {
			p.provide(pr.Owner, q, pr.Version, false)
		}
	}
	for _, s := range siblings {
		for _, v := range s.Versions {
			if v.MultiArch == MultiArchForeign {
				p.provide(v, q, v.Control.Version, true)
			}
		}
	}
}

// provideQualified fills a name like "foo:amd64" from foo of that architecture.
func (p *Pool) provideQualified(q *Package) {
	i := strings.LastIndexByte(q.Name, ':')
	if i < 0 || q.Name[i+1:] == "any" {
		return
	}
	p.anyQualified = true
	base := p.get(q.Name[:i], q.Name[i+1:])
	for _, pr := range base.Providers {
		if !pr.Implicit && pr.Owner.Package.Arch == base.Arch {
			p.provide(pr.Owner, q, pr.Owner.Control.Version, true)
		}
	}
	for _, v := range base.Versions {
		p.provide(v, q, v.Control.Version, true)
	}
}

func (p *Pool) provide(v *Version, target *Package, ver string, implicit bool) {
	pr := p.provideSlab.take()
	*pr = Provide{Owner: v, Target: target, Version: ver, Implicit: implicit}
	v.Provides = append(v.Provides, nil)
	copy(v.Provides[1:], v.Provides)
	v.Provides[0] = pr
	target.Providers = append(target.Providers, nil)
	copy(target.Providers[1:], target.Providers)
	target.Providers[0] = pr
}

// add enters one stanza of an index or of the installed set.
func (p *Pool) add(c *control.Package, installed bool) {
	pkg := p.get(c.Name, c.Architecture)
	pkg.Essential = pkg.Essential || c.Essential
	pkg.Important = pkg.Important || c.Protected
	v, fresh := p.insert(pkg, c)
	if installed {
		pkg.Installed = v
	} else if c.Origin != nil {
		v.Origins = append(v.Origins, c.Origin)
	} else {
		v.Local = true
	}
	if !fresh {
		return
	}
	p.versions++
	v.Seq = p.versions
	p.addProvides(v)
}

// insert places a version in the descending list, or finds the same one.
func (p *Pool) insert(pkg *Package, c *control.Package) (v *Version, fresh bool) {
	at := 0
	for ; at < len(pkg.Versions); at++ {
		have := pkg.Versions[at]
		order := version.Compare(c.Version, have.Control.Version)
		if order > 0 {
			break
		}
		if order == 0 && sameVersion(c, have.Control) {
			return have, false
		}
	}
	v = p.versionSlab.take()
	*v = Version{Package: pkg, Control: c, MultiArch: parseMultiArch(c), Priority: parsePriority(c.Priority)}
	pkg.Versions = append(pkg.Versions, nil)
	copy(pkg.Versions[at+1:], pkg.Versions[at:])
	pkg.Versions[at] = v
	return v, true
}

// sameVersion tells whether two stanzas of equal version describe the same
// build. A stanza without a checksum (an installed package) matches by what
// decides about its installation.
func sameVersion(a, b *control.Package) bool {
	if a.SHA256 != "" && b.SHA256 != "" {
		return a.SHA256 == b.SHA256
	}
	return true
}

// addProvides enters the Provides field and the Multi-Arch stand-ins.
func (p *Pool) addProvides(v *Version) {
	arch := v.Package.Arch
	scan(v.Control.Provides, func(r relation) {
		if r.op != "" && r.op != "=" {
			return
		}
		p.addProvide(v, r, arch)
	})
	name := v.Package.Name
	switch v.MultiArch {
	case MultiArchAllowed:
		p.provide(v, p.get(name+":any", "any"), v.Control.Version, true)
	case MultiArchForeign:
		for _, q := range p.groups[name] {
			if q != v.Package {
				p.provide(v, q, v.Control.Version, true)
			}
		}
		if q := p.native[name]; q != nil && q != v.Package {
			p.provide(v, q, v.Control.Version, true)
		}
	}
	if q := p.qualified(name, arch); q != nil {
		p.provide(v, q, v.Control.Version, true)
	}
}

// qualified is the name with an architecture, if any relation used it so far.
func (p *Pool) qualified(name, arch string) *Package {
	if !p.anyQualified {
		return nil
	}
	return p.native[name+":"+arch]
}

func (p *Pool) addProvide(v *Version, r relation, arch string) {
	name, qualifier := splitQualifier(r.name)
	if name == v.Package.Name && qualifier == "" && (r.version == "" || r.version == v.Control.Version) {
		return // a package does not stand in for itself
	}
	switch {
	case qualifier != "":
		if qualifier != "any" {
			p.provide(v, p.get(name, qualifier), r.version, true)
		}
		p.provide(v, p.get(r.name, "any"), r.version, false)
	case v.MultiArch == MultiArchForeign && len(p.groups[name]) > 0:
		for _, q := range p.Group(name) {
			p.provide(v, q, r.version, false)
		}
	default:
		if v.MultiArch == MultiArchAllowed {
			p.provide(v, p.get(name+":any", "any"), r.version, true)
		}
		p.provide(v, p.get(name, arch), r.version, false)
	}
	if q := p.qualified(name, arch); q != nil && qualifier == "" {
		p.provide(v, q, r.version, true)
	}
}
