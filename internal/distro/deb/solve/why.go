package solve

import (
	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve/pool"
)

// Reason is why a package is part of a solution.
type Reason struct {
	// Asked is the word of the request that named it, "the base" for the
	// essential set, "" if it came in for another package.
	Asked string
	// By is the ID of the package that needs it; "" if asked for.
	By string
	// Link is the relation that brought it in.
	Link Link
}

// reasons walks from what was asked for along relations that hold, breadth
// first, so that each package gets its shortest chain.
func (s *solver) reasons(sol *Solution) {
	targets := s.targets()
	pool.SortVisit(targets)
	for _, base := range []bool{false, true} { // a request explains more than the base does
		var queue []*pool.Package
		for _, pkg := range targets {
			v, word := s.of(pkg).target, s.wanted[pkg]
			if base && word == "" && pkg.Installed == v {
				word = "the base"
			} else if base {
				continue
			}
			if word != "" && sol.explain(v, Reason{Asked: word}) {
				queue = append(queue, pkg)
			}
		}
		for len(queue) > 0 {
			queue = append(queue[1:], s.spread(sol, queue[0])...)
		}
	}
}

// spread explains what a package brings in and returns the new ones.
func (s *solver) spread(sol *Solution, pkg *pool.Package) []*pool.Package {
	var found []*pool.Package
	v := s.of(pkg).target
	deps := s.pool.Deps(v)
	for i := range deps {
		d := &deps[i]
		if d.Negative() || !s.important(d) {
			continue
		}
		for _, t := range s.matches(d, end) {
			if sol.explain(t, Reason{By: v.Control.ID(), Link: link(d, standIn(d, t))}) {
				found = append(found, t.Package)
			}
		}
	}
	return found
}

// explain enters a reason if there is none yet.
func (sol *Solution) explain(v *pool.Version, r Reason) bool {
	id := v.Control.ID()
	if _, known := sol.Reason[id]; known {
		return false
	}
	sol.Reason[id] = r
	return true
}

// Why is the shortest chain from the request to a package, and the word of
// the request it starts with. ok is false if the package is not part of it.
func (sol *Solution) Why(name string) (asked string, chain Chain, ok bool) {
	id := ""
	for _, list := range [][]*control.Package{sol.Rest, sol.Base} {
		for _, c := range list {
			if c.Name == name {
				id = c.ID()
			}
		}
	}
	if id == "" {
		return "", nil, false
	}
	for range sol.Reason {
		r := sol.Reason[id]
		if r.By == "" {
			return r.Asked, chain, true
		}
		chain = append(Chain{r.Link}, chain...)
		id = r.By
	}
	return "", chain, true
}
