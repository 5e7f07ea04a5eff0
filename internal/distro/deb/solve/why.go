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
	at := map[*pool.Package]*pool.Version{}
	targets := s.targets()
	pool.SortVisit(targets)
	var queue []*pool.Package
	for _, pkg := range targets {
		at[pkg] = s.of(pkg).target
		if word := s.wanted[pkg]; word != "" || pkg.Installed == s.of(pkg).target {
			queue = append(queue, pkg)
			if _, known := sol.Reason[at[pkg].Control.ID()]; !known {
				if word == "" {
					word = "the base"
				}
				sol.Reason[at[pkg].Control.ID()] = Reason{Asked: word}
			}
		}
	}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		deps := s.pool.Deps(at[pkg])
		for i := range deps {
			d := &deps[i]
			if d.Negative() || !s.important(d) && d.Type != pool.Recommends {
				continue
			}
			for _, v := range s.matches(d, end) {
				id := v.Control.ID()
				if _, known := sol.Reason[id]; !known {
					sol.Reason[id] = Reason{By: at[pkg].Control.ID(), Link: link(d, "")}
					queue = append(queue, v.Package)
				}
			}
		}
	}
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
