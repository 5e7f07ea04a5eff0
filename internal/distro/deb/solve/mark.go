package solve

import (
	"slices"
	"sort"

	"slipway/internal/distro/deb/solve/pool"
)

// maxDepth bounds the recursion along dependencies, as apt does.
const maxDepth = 3000

// mayChange tells whether a package may get another mode.
func (s *solver) mayChange(pkg *pool.Package, m mode, depth int, byUser bool) bool {
	if depth > maxDepth || len(pkg.Versions) == 0 {
		return false
	}
	st := s.of(pkg)
	switch {
	case byUser || st.mode == m:
		return true
	case st.protected:
		return false
	case m != keep && st.held:
		return false
	case m == remove && (pkg.Essential || pkg.Important):
		return false
	}
	return true
}

// mayRemove protects packages that were asked for and are not yet installed.
func (s *solver) mayRemove(pkg *pool.Package, byUser bool) bool {
	st := s.of(pkg)
	return byUser || pkg.Installed != nil || st.target == nil || st.auto
}

// keepPackage takes back a decision.
func (s *solver) keepPackage(pkg *pool.Package, depth int, byUser bool) bool {
	if !s.mayChange(pkg, keep, depth, byUser) {
		return false
	}
	st := s.of(pkg)
	if st.mode != keep {
		st.mode = keep
		s.setTarget(pkg, st, pkg.Installed)
	}
	return true
}

// removePackage decides that the package will not be there.
func (s *solver) removePackage(pkg *pool.Package, depth int, byUser bool) bool {
	if !s.mayChange(pkg, remove, depth, byUser) {
		return false
	}
	st := s.of(pkg)
	if st.mode == remove || st.target == nil {
		return true
	}
	if !s.mayRemove(pkg, byUser) {
		return false
	}
	st.mode = remove
	if pkg.Installed == nil {
		st.mode = keep
	}
	s.setTarget(pkg, st, nil)
	return true
}

// choose makes the candidate the target.
func (s *solver) choose(pkg *pool.Package, byUser bool) {
	st := s.of(pkg)
	if st.protected && st.target == st.candidate {
		return
	}
	fresh := pkg.Installed == nil || st.candidate == nil
	st.mode = install
	s.setTarget(pkg, st, st.candidate)
	if byUser {
		st.auto = false
	} else if fresh {
		st.auto = true
	}
	if st.candidate == pkg.Installed {
		st.mode = keep
	}
}

// giveUp takes an installation back and rules its candidate out.
func (s *solver) giveUp(pkg *pool.Package) {
	st := s.of(pkg)
	if st.mode == keep && st.target == st.candidate && st.candidate == pkg.Installed {
		return
	}
	s.setTarget(pkg, st, pkg.Installed)
	st.mode = keep
	st.candidate = st.target
}

// installPackage marks a package for installation and, with follow, what it
// needs. The result tells whether everything needed could be marked; a
// package that was asked for stays marked even if not, for the repair pass.
func (s *solver) installPackage(pkg *pool.Package, follow bool, depth int, byUser bool) bool {
	st := s.of(pkg)
	settled := st.protected && st.mode == keep && st.candidate != nil && st.candidate == pkg.Installed
	if !settled && !s.mayChange(pkg, install, depth, byUser) {
		return false
	}
	if st.candidate == nil {
		return false
	}
	if done, ok := s.alreadyMarked(pkg, st, depth, byUser); done {
		return ok
	}
	if !s.installable(pkg, follow, byUser) {
		return false
	}
	if byUser {
		s.choose(pkg, true)
	}
	run := marking{s: s, pkg: pkg, st: st, depth: depth, byUser: byUser, failEarly: !st.protected && !byUser}
	if follow && !run.prepare() {
		return false
	}
	if !byUser {
		s.choose(pkg, false)
	}
	if !follow {
		return !run.failed
	}
	return run.finish()
}

// alreadyMarked answers for packages that need no further work.
func (s *solver) alreadyMarked(pkg *pool.Package, st *state, depth int, byUser bool) (done, ok bool) {
	if st.protected {
		return false, false
	}
	if _, content := s.health(st.target, end); !content {
		return false, false
	}
	if st.candidate == pkg.Installed {
		if st.target == nil {
			return true, s.keepPackage(pkg, depth+1, byUser)
		}
		return true, true
	}
	return st.mode == install, true
}

// installable rules out candidates that cannot work: one with a relation that
// nothing could ever satisfy, or a co-installable one out of step with an
// installed sibling.
func (s *solver) installable(pkg *pool.Package, follow, byUser bool) bool {
	st := s.of(pkg)
	if !byUser && !s.inStep(pkg, st) {
		return false
	}
	if !follow || st.candidate == pkg.Installed {
		return true
	}
	deps := s.pool.Deps(st.candidate)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		d := &deps[i]
		if d.Critical() && !d.Negative() && !s.anyHolds(deps[i:next], end) && !s.anyHolds(deps[i:next], candidates) {
			if !st.protected {
				st.candidate = pkg.Installed
				if st.mode != remove {
					st.mode = keep
				}
			}
			return false
		}
		i = next
	}
	return true
}

// inStep checks Multi-Arch: same siblings for equal versions.
func (s *solver) inStep(pkg *pool.Package, st *state) bool {
	c := st.candidate
	if c.MultiArch != pool.MultiArchSame || c == pkg.Installed || st.mode == install && st.target == c {
		return true
	}
	for _, q := range s.pool.Group(pkg.Name) {
		if q == pkg || q.Installed == nil {
			continue
		}
		other := s.of(q).candidate
		if other != nil && other.MultiArch == pool.MultiArchSame && len(other.Origins) > 0 &&
			other.Control.Version != c.Control.Version {
			return false
		}
	}
	return true
}

// options lists the versions at a moment that satisfy any of the
// alternatives, best first: alternatives in order, installed packages before
// new ones, and the providers of one alternative by preference.
func (s *solver) options(alternatives []pool.Dep, w when) []*pool.Version {
	var upgrades, fresh []*pool.Version
	for i := range alternatives {
		d := &alternatives[i]
		list := s.matches(d, w)
		sort.SliceStable(list, func(a, b int) bool { return s.prefer(d, list[a], list[b]) })
		for _, v := range list {
			if v.Package.Installed != nil {
				upgrades = append(upgrades, v)
			} else {
				fresh = append(fresh, v)
			}
		}
	}
	all := slices.Compact(append(upgrades, fresh...))
	if alternatives[len(alternatives)-1].Negative() {
		return all
	}
	return slices.DeleteFunc(all, func(v *pool.Version) bool {
		st := s.of(v.Package)
		return st.protected && (st.mode == remove || st.mode == keep && v.Package.Installed == nil)
	})
}

// matches lists the versions at a moment that one alternative's words match.
func (s *solver) matches(d *pool.Dep, w when) []*pool.Version {
	var list []*pool.Version
	add := func(v *pool.Version) {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	if v := s.versionAt(d.Target, w); v != nil && !d.Ignores(d.Target) && d.Satisfied(v.Control.Version) {
		add(v)
	}
	for _, pr := range d.Target.Providers {
		if !d.IgnoresProvider(pr) && s.versionAt(pr.Owner.Package, w) == pr.Owner && d.Satisfied(pr.Version) {
			add(pr.Owner)
		}
	}
	return list
}

// prefer orders the providers of one alternative.
func (s *solver) prefer(d *pool.Dep, av, bv *pool.Version) bool {
	a, b := av.Package, bv.Package
	if x, y := s.of(a).protected, s.of(b).protected; x != y {
		return x
	}
	if x, y := s.siblingInstalled(av), s.siblingInstalled(bv); x != y {
		return x
	}
	if x, y := a.Installed != nil, b.Installed != nil; x != y {
		return x
	}
	if x, y := a.Name == d.Target.Name, b.Name == d.Target.Name; x != y {
		return x
	}
	if a.Essential != b.Essential {
		return a.Essential
	}
	if a.Important != b.Important {
		return a.Important
	}
	if a.Arch != b.Arch {
		return s.archRank(a.Arch) < s.archRank(b.Arch)
	}
	if av.Priority != bv.Priority {
		return av.Priority < bv.Priority
	}
	return s.pool.Number(a) > s.pool.Number(b)
}

func (s *solver) siblingInstalled(v *pool.Version) bool {
	if v.MultiArch != pool.MultiArchSame {
		return false
	}
	for _, q := range s.pool.Group(v.Package.Name) {
		if q.Installed != nil {
			return true
		}
	}
	return false
}

func (s *solver) archRank(arch string) int {
	if arch == s.pool.Native {
		return -1
	}
	return slices.Index(s.pool.Foreign, arch)
}
