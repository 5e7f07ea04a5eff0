package solve

import (
	"math/bits"

	"slipway/internal/distro/apk/version"
)

// better tells whether a provider is preferred to another: above zero if so.
func better(a, b provider) int {
	if a.c == nil || b.c == nil {
		return one(a.c != nil) - one(b.c != nil)
	}
	x, y := a.c, b.c
	for _, r := range []int{
		one(x.selectable) - one(y.selectable),
		one(x.depsUsed) - one(y.depsUsed),
		y.conflicts - x.conflicts,
		one(x.tagOK) - one(y.tagOK),
		one(x.tagPreferred) - one(y.tagPreferred),
		one(x.prior) - one(y.prior), // apk prefers what is installed; a lock stands for that
	} {
		if r != 0 {
			return r
		}
	}
	if r := sign(version.Compare(a.version, b.version)); r != 0 {
		return r
	}
	if x.name == y.name {
		if r := sign(version.Compare(x.Version, y.Version)); r != 0 {
			return r
		}
	}
	if r := x.Priority - y.Priority; r != 0 {
		return r
	}
	return firstBit(y.repos) - firstBit(x.repos)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sign(o version.Order) int {
	switch o {
	case version.Less:
		return -1
	case version.Greater:
		return 1
	}
	return 0
}

// firstBit is 1 for the lowest bit, 0 for none.
func firstBit(mask uint64) int {
	if mask == 0 {
		return 0
	}
	return bits.TrailingZeros64(mask) + 1
}

// next is the name to decide now: one that leaves no choice, else by rank.
func (s *solver) next() *name {
	var best *name
	for e := s.open.Front(); e != nil; e = e.Next() {
		n := e.Value.(*name)
		if n.dependersSet && n.requirers > 0 && !n.hasOptions {
			return n
		}
		if best == nil || rank(n, best) < 0 {
			best = n
		}
	}
	return best
}

// rank orders names to decide: asked ones first, then names of packages before
// what many may provide, then those with the longest chain below them.
func rank(a, b *name) int {
	for _, r := range []int{
		one(b.asked) - one(a.asked),
		a.kind - b.kind,
		b.chain - a.chain,
		one(b.requirers > 0) - one(a.requirers > 0),
	} {
		if r != 0 {
			return r
		}
	}
	return 0
}

// assign decides a name.
func (s *solver) assign(n *name, p provider) {
	if n.locked {
		if p.version == "" && n.chosen.version == "" {
			return // several may provide a name without a version
		}
		s.breakPackage(p.c)
		s.breakPackage(n.chosen.c)
		return
	}
	n.locked, n.chosen = true, p
	if n.open != nil {
		s.open.Remove(n.open)
		n.open = nil
	}
	if n.dirty != nil {
		s.dirty.Remove(n.dirty)
		n.dirty = nil
	}
	for _, other := range n.providers {
		if other.c != p.c && (p.version != "" || other.version != "") {
			s.disqualify(other.c)
		}
	}
	s.recheckDependers(n)
	if p.c != nil {
		s.recheckInstallIfOf(p.c)
	} else {
		s.recheckInstallIf(n)
	}
}

// choose decides a name for the best of its providers.
func (s *solver) choose(n *name) {
	chosen := none
	if n.requirers > 0 || n.hasIf {
		for _, p := range n.providers {
			if n.requirers == 0 && (!p.c.ifTriggered || !p.c.tagOK) {
				continue
			}
			if p.version == "" && p.c.name.requirers == 0 && p.c.Priority == 0 {
				continue // without a version and a priority none is taken by itself
			}
			if better(p, chosen) > 0 {
				chosen = p
			}
		}
	}
	c := chosen.c
	if c == nil {
		s.assign(n, none)
		if n.requirers > 0 {
			s.errors++
		}
		return
	}
	if !c.selectable || !c.tagOK {
		s.breakPackage(c)
	}
	s.assign(c.name, provider{c, c.Version})
	for _, d := range c.provides {
		s.assign(d.name, provider{c, d.Version})
	}
	for i := range c.depends {
		s.constrain(c, &c.depends[i])
	}
}
