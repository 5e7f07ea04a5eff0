package pool

import "sort"

// Number is the position of the package's first mention in the indexes, be
// it as a package of its own, a relation's target or a provided name. Where
// nothing else decides, apt prefers the provider mentioned last. All names
// are numbered at the first call, which costs one pass over the indexes.
func (p *Pool) Number(pkg *Package) int32 {
	if pkg.number != 0 {
		return pkg.number
	}
	if p.numbers == nil {
		p.numberAll()
	}
	key := pkg.Name
	if pkg.Arch != p.Native && pkg.Arch != "any" {
		key += "\x00" + pkg.Arch
	}
	n, ok := p.numbers[key]
	if !ok {
		n = int32(len(p.numbers)) + 1
		p.numbers[key] = n
	}
	pkg.number = n
	return n
}

func (p *Pool) numberAll() {
	p.numbers = make(map[string]int32, 2*len(p.ordered))
	seen := make(map[string]string, len(p.ordered))
	for _, c := range p.ordered {
		suffix := ""
		if c.Architecture != "all" && c.Architecture != p.Native {
			suffix = "\x00" + c.Architecture
		}
		p.mention(c.Name, suffix)
		if seen[c.Name+suffix] == c.Version {
			continue // the same version again: apt does not read its relations twice
		}
		seen[c.Name+suffix] = c.Version
		for _, field := range [...]string{c.PreDepends, c.Depends, c.Conflicts, c.Breaks, c.Recommends, c.Suggests, c.Replaces, c.Enhances, c.Provides} {
			scan(field, func(r relation) { p.mention(r.name, suffix) })
		}
		if c.MultiArch == "allowed" {
			p.mention(c.Name+":any", "")
		}
	}
}

func (p *Pool) mention(name, suffix string) {
	if suffix != "" {
		name += suffix
	}
	if _, ok := p.numbers[name]; !ok {
		p.numbers[name] = int32(len(p.numbers)) + 1
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
