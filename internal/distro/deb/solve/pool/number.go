package pool

import (
	"sort"

	"slipway/internal/distro/deb/control"
)

// Number is the position of the package's first mention in the indexes, be
// it as a package of its own, a relation's target or a provided name. Where
// nothing else decides, apt prefers the provider mentioned last. All names
// are numbered at the first call, which costs one pass over the indexes.
func (p *Pool) Number(pkg *Package) int32 {
	if p.mentioned == nil {
		p.numberAll()
	}
	if pkg.number == 0 {
		pkg.number = p.mentioned[key(pkg.Name, p.suffix(pkg.Arch))]
	}
	if pkg.number == 0 {
		p.count++
		pkg.number = p.count
	}
	return pkg.number
}

// suffix tells names of foreign architectures from native ones.
func (p *Pool) suffix(arch string) string {
	if arch == p.Native || arch == "all" || arch == "any" {
		return ""
	}
	return "\x00" + arch
}

func key(name, suffix string) string {
	if suffix == "" {
		return name // the usual case does not allocate
	}
	return name + suffix
}

func (p *Pool) numberAll() {
	p.mentioned = make(map[string]int32, len(p.ordered)/4)
	read := make(map[*Version]bool)
	for _, c := range p.ordered {
		pkg := p.FindArch(c.Name, c.Architecture)
		suffix := p.suffix(c.Architecture)
		p.mention(c.Name, suffix)
		if len(pkg.Versions) > 1 || len(pkg.Versions[0].Origins) > 1 {
			v := pkg.find(c)
			if read[v] {
				continue // apt does not read the relations of a version twice
			}
			read[v] = true
		}
		for _, field := range [...]string{c.PreDepends, c.Depends, c.Conflicts, c.Breaks, c.Recommends, c.Suggests, c.Replaces, c.Enhances, c.Provides} {
			scan(field, func(r relation) { p.mention(r.name, suffix) })
		}
		if c.MultiArch == "allowed" {
			p.mention(c.Name+":any", "")
		}
	}
}

// find is the version that a stanza became part of.
func (pkg *Package) find(c *control.Package) *Version {
	for _, v := range pkg.Versions {
		if v.Control == c || v.Control.Version == c.Version && sameVersion(c, v.Control) {
			return v
		}
	}
	return nil
}

// mention numbers a name at its first appearance. Names that are packages
// keep their number themselves.
func (p *Pool) mention(name, suffix string) {
	if suffix == "" {
		if pkg := p.native[name]; pkg != nil {
			if pkg.number == 0 {
				p.count++
				pkg.number = p.count
			}
			return
		}
	}
	name = key(name, suffix)
	if _, ok := p.mentioned[name]; !ok {
		p.count++
		p.mentioned[name] = p.count
	}
}

// hashTable is the size of apt's name table; its order is the order in which
// apt visits packages.
const hashTable = 196613

func bucket(name string) uint32 {
	h := uint32(5381)
	for i := 0; i < len(name); i++ {
		h = 33*h + uint32(name[i]|0x20)
	}
	return h % hashTable
}

// SortVisit sorts packages into the order in which apt walks its cache:
// by hash bucket, within one by length and then bytes of the name.
func SortVisit(list []*Package) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if x, y := bucket(a.Name), bucket(b.Name); x != y {
			return x < y
		}
		if len(a.Name) != len(b.Name) {
			return len(a.Name) < len(b.Name)
		}
		return a.Name < b.Name
	})
}
