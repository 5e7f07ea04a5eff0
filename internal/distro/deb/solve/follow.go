package solve

import (
	"slices"

	"slipway/internal/distro/deb/solve/pool"
)

// marking is one package's way into the plan: what stands against it goes,
// what it needs comes.
type marking struct {
	s         *solver
	pkg       *pool.Package
	st        *state
	depth     int
	byUser    bool
	failEarly bool
	failed    bool

	needs, against [][]pool.Dep
	upgrades       []*pool.Package
	removals       []*pool.Package // only done once everything else worked
}

// prepare collects the open relations and clears the way. False means the
// package cannot be installed and nothing was changed for it.
func (m *marking) prepare() bool {
	m.collect()
	if !m.clearConflicts() && m.fail() {
		return false
	}
	m.collectDependants()
	return true
}

// fail notes a failure and tells whether to stop.
func (m *marking) fail() bool {
	m.failed = true
	return m.failEarly
}

func (m *marking) collect() {
	deps := m.s.pool.Deps(m.st.candidate)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		group := deps[i:next]
		i = next
		if !m.s.important(&group[0]) || m.s.anyHolds(group, end) && !m.st.protected {
			continue
		}
		if group[0].Negative() {
			m.against = append(m.against, group)
		} else {
			m.needs = append(m.needs, group)
		}
	}
}

// clearConflicts keeps candidates that conflict out, and upgrades or removes
// installed packages that do.
func (m *marking) clearConflicts() bool {
	ok := true
	var barred []*pool.Package
	for _, group := range m.against {
		for _, v := range m.s.options(group, candidates) {
			if !m.barCandidate(v, &barred) {
				ok = false
				if m.failEarly {
					return false
				}
			}
		}
		for _, v := range m.s.options(group, now) {
			if !m.upgradeOrRemove(v, barred) {
				ok = false
				if m.failEarly {
					return false
				}
			}
		}
	}
	return ok
}

func (m *marking) barCandidate(v *pool.Version, barred *[]*pool.Package) bool {
	pkg, st := v.Package, m.s.of(v.Package)
	switch {
	case st.candidate != v:
		return true
	case pkg.Installed == v:
		return m.removeLater(pkg)
	case st.mode == install && !m.s.keepPackage(pkg, m.depth, false):
		return false
	case m.st.protected:
		st.candidate = st.target
		if pkg.Installed == nil {
			st.protected = true
		}
	default:
		*barred = append(*barred, pkg)
	}
	return true
}

func (m *marking) upgradeOrRemove(v *pool.Version, barred []*pool.Package) bool {
	pkg, st := v.Package, m.s.of(v.Package)
	switch {
	case st.candidate != v && st.candidate != nil && !slices.Contains(barred, pkg):
		m.upgrades = append(m.upgrades, pkg)
		return true
	case st.candidate == pkg.Installed:
		return true // dealt with as a candidate
	}
	return m.removeLater(pkg)
}

func (m *marking) removeLater(pkg *pool.Package) bool {
	st := m.s.of(pkg)
	if !m.st.protected {
		if st.mode == remove {
			return true
		}
		if !m.s.mayChange(pkg, remove, m.depth, false) || !m.s.mayRemove(pkg, false) {
			return false
		}
		m.removals = append(m.removals, pkg)
		return true
	}
	if st.mode != remove && !m.s.removePackage(pkg, m.depth+1, false) {
		return false
	}
	st.candidate = st.target
	st.protected = true
	return true
}

// collectDependants finds installed packages that an upgrade would leave
// without what they need.
func (m *marking) collectDependants() {
	if m.pkg.Installed == nil || m.pkg.Installed == m.st.candidate {
		return
	}
	for _, q := range m.s.targets() {
		st := m.s.of(q)
		if q.Installed == nil || st.mode == install || slices.Contains(m.upgrades, q) {
			continue
		}
		if m.s.behave.skipDoomed && (st.mode == remove || slices.Contains(m.removals, q)) {
			continue
		}
		if m.breaksDependant(q) {
			m.upgrades = append(m.upgrades, q)
		}
	}
}

func (m *marking) breaksDependant(q *pool.Package) bool {
	deps := m.s.pool.Deps(q.Installed)
	for i := range deps {
		d := &deps[i]
		if d.Target == m.pkg && m.s.important(d) && !d.Negative() &&
			d.Satisfied(m.pkg.Installed.Control.Version) && !d.Satisfied(m.st.candidate.Control.Version) {
			return true
		}
	}
	return false
}

// finish brings in what the package needs. It is called with the package
// already marked, and protects it from its own needs meanwhile.
func (m *marking) finish() bool {
	propagate := m.st.protected
	m.st.protected = true
	defer func() { m.st.protected = propagate }()

	m.upgradeSourceSiblings()
	steps := []func(bool) bool{m.runUpgrades, m.runNeeds, m.runRemovals}
	for _, step := range steps {
		if !step(propagate) && m.fail() {
			m.st.protected = propagate
			m.s.giveUp(m.pkg)
			return false
		}
	}
	return !m.failed
}

// upgradeSourceSiblings keeps installed binaries of one source in step.
func (m *marking) upgradeSourceSiblings() {
	mine := m.st.candidate.Control
	var list []*pool.Package
	for _, q := range m.s.targets() {
		st := m.s.of(q)
		if q == m.pkg || q.Installed == nil || st.candidate == nil || st.candidate == q.Installed || st.mode == install {
			continue
		}
		c := st.candidate.Control
		if c.Source == mine.Source && sourceVersion(c.Version) == sourceVersion(mine.Version) {
			list = append(list, q)
		}
	}
	for _, follow := range []bool{false, true} {
		for _, q := range list {
			m.s.installPackage(q, follow, m.depth+1, false)
		}
	}
}

func (m *marking) runUpgrades(propagate bool) bool {
	ok := true
	for _, q := range m.upgrades {
		if m.s.of(q).mode == install || m.s.installPackage(q, true, m.depth+1, false) {
			continue
		}
		if m.s.removePackage(q, m.depth+1, false) {
			if propagate {
				m.s.of(q).protected = true
			}
			continue
		}
		ok = false
		if !propagate && !m.byUser {
			break
		}
	}
	return ok
}

func (m *marking) runRemovals(bool) bool {
	for _, q := range m.removals {
		if !m.s.removePackage(q, m.depth, false) {
			return false
		}
	}
	return true
}

func (m *marking) runNeeds(propagate bool) bool {
	ok := true
	for _, group := range m.needs {
		if m.s.anyHolds(group, end) {
			if propagate && !m.protectOnly(group) {
				ok = false
			}
			continue
		}
		critical := group[0].Critical()
		if m.pkg.Installed != nil && !critical && !m.followsOptional(group) {
			continue
		}
		if !m.satisfy(group, propagate, critical) && critical {
			ok = false
			if !propagate && !m.byUser {
				break
			}
		}
	}
	return ok
}

// protectOnly hands the user's wish down to the only package that can
// satisfy a relation which already holds.
func (m *marking) protectOnly(group []pool.Dep) bool {
	if !group[0].Critical() {
		return true
	}
	v := m.s.soleOption(group)
	if v == nil || m.s.of(v.Package).protected {
		return true
	}
	m.s.of(v.Package).protected = true
	return m.s.installPackage(v.Package, true, m.depth+1, false)
}

// soleOption is the single version among candidates and installed ones that
// satisfies the alternatives, or nil if there is none or a choice.
func (s *solver) soleOption(group []pool.Dep) *pool.Version {
	var only *pool.Version
	for i := range group {
		for _, w := range []when{candidates, now} {
			for _, v := range s.matches(&group[i], w) {
				st := s.of(v.Package)
				if st.protected && (st.mode == remove || st.mode == keep && v.Package.Installed == nil) {
					continue
				}
				if only != nil && only != v {
					return nil
				}
				only = v
			}
		}
	}
	return only
}

// followsOptional decides about a recommendation of an installed package: new
// ones and ones that used to hold are followed.
func (m *marking) followsOptional(group []pool.Dep) bool {
	known := false
	deps := m.s.pool.Deps(m.pkg.Installed)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		for j := i; j < next; j++ {
			d := &deps[j]
			if d.Critical() || !m.s.important(d) || d.Target != group[0].Target {
				continue
			}
			known = true
			if m.s.anyHolds(deps[i:next], now) {
				return true
			}
		}
		i = next
	}
	return !known
}

// satisfy installs the first option that works.
func (m *marking) satisfy(group []pool.Dep, propagate, critical bool) bool {
	list := m.s.options(group, candidates)
	for _, v := range list {
		q := v.Package
		if m.s.of(q).candidate != v {
			continue
		}
		if _, ok := m.s.cause[q]; !ok {
			m.s.cause[q] = &group[0]
		}
		if propagate && critical && len(list) == 1 {
			if !m.s.installPackage(q, false, m.depth+1, false) {
				continue
			}
			m.s.of(q).protected = true
		}
		if m.s.installPackage(q, true, m.depth+1, false) {
			return true
		}
	}
	return false
}
