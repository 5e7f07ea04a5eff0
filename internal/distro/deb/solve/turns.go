package solve

import (
	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve/pool"
)

// PlanTurns is Plan in two turns, as if apt were called twice: first for the
// packages that are asked for and chosen by foundation, with all they need,
// then for the rest. What the first turn makes of a machine then does not
// depend on the second. It ends with the first order.ConfigurePending of the
// list; the second turn may have nothing else to do. Where the choice leaves
// nothing, or packages have to go, there is one turn, as in Plan.
func (sol *Solution) PlanTurns(foundation func(*control.Package) bool) ([]order.Step, error) {
	defer sol.problem.countApt()()
	defer setInstalled(sol.base)()
	first, second := sol.split(foundation)
	if len(first) == 0 || len(sol.diff.Remove) > 0 {
		return order.Plan(sol.pool, sol.diff)
	}
	steps, err := order.Plan(sol.pool, order.Change{Install: first})
	if err != nil {
		return nil, err
	}
	defer setInstalled(first)()
	more, err := order.Plan(sol.pool, order.Change{Install: second})
	return append(steps, more...), err
}

// split divides what is installed. The order within the parts is kept.
func (sol *Solution) split(foundation func(*control.Package) bool) (first, second []*pool.Version) {
	chosen := make(map[*pool.Version]bool, len(sol.diff.Install))
	var queue []*pool.Version
	for _, v := range sol.diff.Install {
		chosen[v] = false
		if !sol.Auto[v.Control.ID()] && foundation(v.Control) {
			chosen[v] = true
			queue = append(queue, v)
		}
	}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		for _, need := range sol.needs(v, chosen) {
			if !chosen[need] {
				chosen[need] = true
				queue = append(queue, need)
			}
		}
	}
	for _, v := range sol.diff.Install {
		if chosen[v] {
			first = append(first, v)
		} else {
			second = append(second, v)
		}
	}
	return first, second
}

// needs lists, for each relation of a version that nothing installed meets,
// the first of the new versions that meets it.
func (sol *Solution) needs(v *pool.Version, fresh map[*pool.Version]bool) []*pool.Version {
	var list []*pool.Version
	deps := sol.pool.Deps(v)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		d := &deps[i]
		if d.Type == pool.PreDepends || d.Type == pool.Depends || d.Type == pool.Recommends && sol.problem.Recommends {
			if t := metBy(deps[i:next], fresh); t != nil {
				list = append(list, t)
			}
		}
		i = next
	}
	return list
}

// metBy finds the first new version that meets one of the alternatives; nil
// if an installed one does, or none.
func metBy(alternatives []pool.Dep, fresh map[*pool.Version]bool) *pool.Version {
	var found *pool.Version
	for i := range alternatives {
		for _, t := range alternatives[i].Targets() {
			if t.Package.Installed == t {
				return nil
			}
			if _, ok := fresh[t]; ok && found == nil {
				found = t
			}
		}
	}
	return found
}
