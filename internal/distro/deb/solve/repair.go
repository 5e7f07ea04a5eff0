package solve

import (
	"slices"
	"sort"

	"slipway/internal/distro/deb/solve/pool"
)

// maxRounds bounds the repair of broken relations, as apt does.
const maxRounds = 20

// repair mends what marking left broken: packages are visited from the most
// to the least needed, and each broken relation is solved at the expense of
// the side with the lower score.
type repair struct {
	s       *solver
	scores  map[*pool.Package]int
	tried   map[*pool.Package]bool // no further attempt to upgrade
	before  map[*pool.Package]bool // marked before the repair began
	order   []*pool.Package
	round   int
	changed bool
}

// victim is a package that may have to go because of a relation.
type victim struct {
	pkg   *pool.Package
	group []pool.Dep
}

// run reports whether nothing is broken any more.
func (s *solver) repair() bool {
	r := &repair{s: s, tried: map[*pool.Package]bool{}, before: map[*pool.Package]bool{}}
	r.tryMarking()
	for _, pkg := range s.targets() {
		if s.of(pkg).mode == install {
			r.before[pkg] = true
		}
	}
	if len(s.brokenPackages()) > 0 {
		s.sweep()
		r.rounds()
	}
	if len(s.brokenPackages()) > 0 {
		return false
	}
	for _, pkg := range s.targets() {
		if st := s.of(pkg); pkg.Installed == nil && !r.before[pkg] && st.mode == install {
			st.auto = true
		}
	}
	return true
}

// tryMarking marks installed packages with broken relations for upgrade.
func (r *repair) tryMarking() {
	for again := true; again; {
		again = false
		for _, pkg := range r.s.brokenPackages() {
			st := r.s.of(pkg)
			if st.mode == install {
				continue
			}
			r.s.installPackage(pkg, false, 0, false)
			again = again || st.mode == install
		}
	}
}

func (r *repair) rounds() {
	r.score()
	r.changed = true
	for r.round = 0; r.round < maxRounds && r.changed; r.round++ {
		r.changed = false
		for _, pkg := range r.order {
			r.visit(pkg)
		}
	}
}

func (r *repair) visit(pkg *pool.Package) {
	if st := r.s.of(pkg); st.target == nil || !r.s.broken(pkg) {
		return
	}
	v := visit{r: r, s: r.s, pkg: pkg, st: r.s.of(pkg)}
	v.relations()
	if v.st.target != nil {
		v.applyVictims()
	}
}

// visit is the work on one broken package.
type visit struct {
	r       *repair
	s       *solver
	pkg     *pool.Package
	st      *state
	victims []victim
	keepOr  bool // alternatives failed, but keeping the installed version would do
	done    bool
}

// relations goes through the critical relations of the package's target.
func (v *visit) relations() {
	target := v.st.target
	deps := v.s.pool.Deps(target)
	for i := 0; i < len(deps) && !v.done; {
		next := pool.GlobOr(deps, i)
		group := deps[i:next]
		i = next
		if !group[0].Critical() || v.s.anyHolds(group, end) {
			continue
		}
		if stop := v.relation(group); stop {
			return
		}
	}
}

func (v *visit) relation(group []pool.Dep) (stop bool) {
	or := len(group) > 1
	v.keepOr = false
	victims := len(v.victims)
	for j := range group {
		if v.s.anyHolds(group, end) {
			return false
		}
		if stop := v.alternative(&group[j], group, or); stop {
			return true
		}
		if v.done && !or {
			return false
		}
	}
	if or && victims == len(v.victims) {
		v.settleOr()
	}
	if or {
		v.done = false
	}
	return false
}

// settleOr gives up a package none of whose alternatives could be had.
func (v *visit) settleOr() {
	if v.keepOr {
		v.s.keepPackage(v.pkg, 0, false)
		v.r.changed = true
	} else if !v.st.protected {
		v.s.removePackage(v.pkg, 0, false)
		v.r.changed = true
	}
}

func (v *visit) alternative(d *pool.Dep, group []pool.Dep, or bool) (stop bool) {
	targets := d.Targets()
	currentSound, _ := v.s.health(v.pkg.Installed, now)
	if len(targets) == 0 && !v.st.protected && !d.Negative() && currentSound {
		if or {
			return false
		}
		v.r.changed = true
		v.s.keepPackage(v.pkg, 0, false)
		return true
	}
	for _, t := range targets {
		if d.Negative() && v.s.of(t.Package).target != t {
			continue
		}
		if v.r.scores[v.pkg] <= v.r.scores[t.Package] || !v.s.holds(d, now) && !d.Negative() {
			if v.st.protected {
				if v.r.upgrade(t.Package) {
					v.r.scores[t.Package] = min(v.r.scores[t.Package], v.r.scores[v.pkg])
					break
				}
				continue
			}
			v.yield(d, t, or)
			break
		}
		if next := v.blame(d, t, group); !next {
			break
		}
	}
	if len(targets) == 0 && !d.Negative() && !v.st.protected {
		v.nothingSatisfies(or)
	}
	return false
}

// blame puts the other package on the list of victims. The result tells
// whether to look at further targets.
func (v *visit) blame(d *pool.Dep, t *pool.Version, group []pool.Dep) (next bool) {
	if d.Type == pool.Breaks && v.s.anyHolds(group, candidates) {
		v.s.installPackage(t.Package, false, 0, false)
		return true
	}
	if st := v.s.of(t.Package); st.protected && st.mode != remove {
		return true
	}
	v.victims = append(v.victims, victim{t.Package, group})
	return d.Negative()
}

// yield changes the package itself rather than the relation's target.
func (v *visit) yield(d *pool.Dep, t *pool.Version, or bool) {
	v.r.changed, v.done = true, true
	wasMarked := v.st.mode == install
	v.s.keepPackage(v.pkg, 0, false)
	if !v.s.broken(v.pkg) {
		v.keepOr = true
		if or && wasMarked {
			v.s.installPackage(v.pkg, false, 0, false)
		}
		return
	}
	if v.r.upgrade(v.pkg) {
		return
	}
	if !or || v.st.garbage {
		v.s.removePackage(v.pkg, 0, false)
		if v.r.round > 1 {
			v.r.scores[v.pkg] = max(v.r.scores[v.pkg], v.r.scores[t.Package])
		}
		return
	}
	v.tryTarget(d.Target)
}

// tryTarget installs the relation's own target if that breaks nothing.
func (v *visit) tryTarget(q *pool.Package) {
	st := v.s.of(q)
	if q.Installed != nil || st.mode == remove || st.refused || st.candidate == nil {
		return
	}
	before := len(v.s.brokenPackages())
	v.s.installPackage(q, true, 1, false)
	if v.s.behave.keepAfterTry {
		v.keepOr = true
	}
	if v.s.broken(q) || len(v.s.brokenPackages()) > before {
		v.s.removePackage(q, 1, false)
		if v.s.behave.keepAfterTry {
			v.keepOr = false
		}
	}
}

// nothingSatisfies handles a relation without any target in the pool.
func (v *visit) nothingSatisfies(or bool) {
	wasMarked := v.st.mode == install
	v.s.keepPackage(v.pkg, 0, false)
	if !v.s.broken(v.pkg) {
		v.keepOr = true
		if or && wasMarked {
			v.s.installPackage(v.pkg, false, 0, false)
		}
	} else if !or {
		v.s.removePackage(v.pkg, 0, false)
	}
	v.r.changed, v.done = true, true
}

func (v *visit) applyVictims() {
	for _, k := range v.victims {
		found := false
		if !v.s.anyHolds(k.group, now) {
			found = k.group[0].Negative() && v.s.removePackage(k.pkg, 0, false)
		} else {
			found = v.s.keepPackage(k.pkg, 0, false)
		}
		if (!found || v.r.round > 1) && v.r.scores[v.pkg] > v.r.scores[k.pkg] {
			v.r.scores[k.pkg] = v.r.scores[v.pkg]
			v.r.changed = true
		}
		v.r.changed = v.r.changed || found
	}
}

// upgrade tries to bring a package to its candidate together with what that
// needs, once per package.
func (r *repair) upgrade(pkg *pool.Package) bool {
	s, st := r.s, r.s.of(pkg)
	if r.tried[pkg] || st.candidate == nil || st.candidate == pkg.Installed || st.requested {
		return false
	}
	r.tried[pkg] = true
	wasKept := st.mode == keep
	if !s.installPackage(pkg, false, 0, false) || st.target == nil {
		return false
	}
	deps := s.pool.Deps(st.target)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		group := deps[i:next]
		i = next
		if group[0].Critical() && !r.upgradeFor(group) {
			if wasKept {
				s.keepPackage(pkg, 0, false)
			} else {
				s.removePackage(pkg, 0, false)
			}
			return false
		}
	}
	return true
}

func (r *repair) upgradeFor(group []pool.Dep) bool {
	ok := true
	for j := range group {
		d := &group[j]
		if r.s.anyHolds(group, end) {
			return ok
		}
		q := smartTarget(d)
		switch {
		case r.s.of(q).protected:
			ok = false
		case r.s.holds(d, candidates):
			if r.upgrade(q) {
				return true
			}
			ok = false
		case d.Negative():
			return ok
		default:
			ok = false
		}
	}
	return ok
}

// smartTarget is the package a relation most likely means: its target, or
// the first provider of a purely virtual one.
func smartTarget(d *pool.Dep) *pool.Package {
	if len(d.Target.Versions) > 0 {
		return d.Target
	}
	for _, pr := range d.Target.Providers {
		if pr.Owner.Package != d.Parent.Package {
			return pr.Owner.Package
		}
	}
	return d.Target
}

var (
	priorityScore = [...]int{0, 3, 2, 1, -1, -2}
	relationScore = map[pool.Type]int{pool.PreDepends: 1, pool.Depends: 1, pool.Recommends: 1, pool.Conflicts: -1, pool.Breaks: -1}
)

// score computes how much damage changing a package would do, and the order
// of visits that follows from it.
func (r *repair) score() {
	r.scores = map[*pool.Package]int{}
	targets := r.s.targets()
	pool.SortVisit(targets)
	for _, pkg := range targets {
		r.scoreOwn(pkg)
	}
	r.inherit(targets)
	for _, pkg := range targets {
		if r.s.of(pkg).protected {
			r.scores[pkg] += 10000
		}
		if pkg.Essential || pkg.Important {
			r.scores[pkg] += 5000
		}
	}
	r.order = targets
	sort.SliceStable(r.order, func(i, j int) bool { return r.scores[r.order[i]] > r.scores[r.order[j]] })
}

func (r *repair) scoreOwn(pkg *pool.Package) {
	st := r.s.of(pkg)
	if pkg.Essential || pkg.Important {
		r.scores[pkg] += 100
	}
	if len(st.target.Origins) > 0 {
		r.scores[pkg] += priorityScore[st.target.Priority]
	} else {
		r.scores[pkg] += priorityScore[pool.Extra]
	}
	if pkg.Installed != nil && st.candidate != nil && len(st.candidate.Origins) > 0 {
		r.scores[pkg]++
	}
	deps := r.s.pool.Deps(st.target)
	for i := range deps {
		d := &deps[i]
		points := relationScore[d.Type]
		if points == 0 {
			continue
		}
		if !d.Ignores(d.Target) {
			if v := r.s.of(d.Target).target; d.Version != "" && (v == nil || !d.Satisfied(v.Control.Version)) {
				continue
			}
			r.scores[d.Target] += points
		}
		for _, q := range r.providers(d.Target, func(pr *pool.Provide) bool { return !d.IgnoresProvider(pr) && d.Satisfied(pr.Version) }) {
			r.scores[q] += points
		}
	}
}

// providers lists packages that will stand in for a name.
func (r *repair) providers(name *pool.Package, accept func(*pool.Provide) bool) []*pool.Package {
	var list []*pool.Package
	for _, pr := range name.Providers {
		q := pr.Owner.Package
		if r.s.of(q).target == pr.Owner && accept(pr) && !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	return list
}

// inherit adds the points of dependants, one level deep, and hands what a
// name gained to the packages that provide it.
func (r *repair) inherit(targets []*pool.Package) {
	old := make(map[*pool.Package]int, len(r.scores))
	for k, v := range r.scores {
		old[k] = v
	}
	for _, pkg := range targets {
		deps := r.s.pool.Deps(r.s.of(pkg).target)
		for i := range deps {
			d := &deps[i]
			if d.Type != pool.Depends && d.Type != pool.PreDepends && d.Type != pool.Recommends {
				continue
			}
			if r.s.of(d.Target).target != nil && old[pkg] > 0 {
				r.scores[d.Target] += old[pkg]
			}
		}
	}
	gained := map[*pool.Package]int{}
	for pkg, now := range r.scores {
		if delta := now - old[pkg]; delta != 0 {
			gained[pkg] = max(delta, -delta)
		}
	}
	for pkg, points := range gained {
		for _, q := range r.providers(pkg, func(pr *pool.Provide) bool { return !pr.Implicit }) {
			r.scores[q] += points
		}
	}
}
