package order

import (
	"slipway/internal/distro/deb/solve/pool"
)

// maxTurns bounds the loops that untangle dependency cycles.
const maxTurns = 5000

// install turns the sorted list into operations.
func (m *manager) install() error {
	for _, pkg := range m.list {
		if !m.untouched(pkg) {
			continue
		}
		if m.gone[pkg] {
			m.uninstall(pkg)
			continue
		}
		if !m.unpack(pkg, m.has(pkg, immediate), 0) {
			return cannot(pkg, "its Pre-Depends or Conflicts form a cycle that cannot be broken")
		}
	}
	return nil // the rest is configured by the final call
}

func (m *manager) uninstall(pkg *pool.Package) {
	if !m.untouched(pkg) {
		return
	}
	m.clear(pkg, states)
	m.set(pkg, configured)
	m.do(Remove, pkg)
}

// nested runs an action for another package with this one marked as being in
// work, so that cycles end.
func (m *manager) nested(pkg *pool.Package, inLoop bool, action func() bool) bool {
	if !inLoop {
		m.set(pkg, loop)
		defer m.clear(pkg, loop)
	}
	return action()
}

// present tells whether a version is installed and stays untouched so far.
func (m *manager) present(v *pool.Version) bool {
	return v.Package.Installed == v && m.untouched(v.Package) && !m.has(v.Package, removed)
}

// unpack plans the unpacking of a package after everything that has to come
// before it, and with now its configuration right behind.
func (m *manager) unpack(pkg *pool.Package, now bool, depth int) bool {
	if depth > maxTurns {
		return false
	}
	inLoop := m.has(pkg, loop)
	if !m.prepareUnpack(pkg, inLoop, depth) {
		return false
	}
	m.removeConflicting(pkg)
	if inLoop {
		return true
	}
	m.clear(pkg, states)
	m.set(pkg, unpacked)
	if now && m.target(pkg).MultiArch == pool.MultiArchSame {
		m.unpackSiblings(pkg, depth)
	} else if m.changes(pkg) {
		m.do(Unpack, pkg)
	}
	if now {
		m.configure(pkg, depth+1) // if not possible yet, the final call does it
	}
	return true
}

// unpackSiblings unpacks the other architectures of a co-installable package
// with it, installed ones first.
func (m *manager) unpackSiblings(pkg *pool.Package, depth int) {
	installed := pkg.Installed != nil
	if installed && m.changes(pkg) {
		m.do(Unpack, pkg)
	}
	siblings := func(wasInstalled bool) {
		for _, q := range m.pool.Group(pkg.Name) {
			if q != pkg && (q.Installed != nil) == wasInstalled && m.untouched(q) && m.changes(q) && !m.gone[q] {
				m.unpack(q, false, depth+1)
			}
		}
	}
	siblings(true)
	if !installed {
		m.do(Unpack, pkg)
	}
	siblings(false)
}

// prepareUnpack sees to Pre-Depends, Conflicts and Breaks.
func (m *manager) prepareUnpack(pkg *pool.Package, inLoop bool, depth int) bool {
	deps := m.pool.Deps(m.target(pkg))
	bad, changed := false, true
	for turn := 0; changed; turn++ {
		if turn > maxTurns {
			return false
		}
		changed = false
		for i := 0; i < len(deps); {
			next := pool.GlobOr(deps, i)
			group := deps[i:next]
			i = next
			if group[0].Type == pool.PreDepends {
				if !m.preDepends(pkg, group, inLoop, depth, &bad, &changed) {
					return false
				}
			} else if group[0].Negative() {
				if !m.against(pkg, &group[0], inLoop, depth, &bad, &changed) {
					return false
				}
			}
		}
	}
	return !bad
}

// preDepends has one of the alternatives configured.
func (m *manager) preDepends(pkg *pool.Package, group []pool.Dep, inLoop bool, depth int, bad, changed *bool) bool {
	for i := range group {
		for _, v := range group[i].Targets() {
			if v.Package.Installed == v && m.untouched(v.Package) {
				return true
			}
		}
	}
	open := true
	for i := 0; i < len(group) && open; i++ {
		for _, v := range group[i].Targets() {
			q := v.Package
			if m.target(q) != v || !m.changes(q) {
				continue
			}
			if m.has(q, configured) {
				open = false
				break
			}
			action := func() bool { return m.configure(q, depth+1) }
			if !m.has(q, unpacked) {
				if m.has(q, loop) && inLoop {
					continue // another alternative may do
				}
				action = func() bool { return m.unpack(q, true, depth+1) }
			}
			if !m.nested(pkg, inLoop, action) {
				return false
			}
			open = false
			*changed = *changed || !m.has(q, loop)
			break
		}
	}
	*bad = *bad || open
	return true
}

// against makes installed packages that the relation hits change or go first.
func (m *manager) against(pkg *pool.Package, d *pool.Dep, inLoop bool, depth int, bad, changed *bool) bool {
	for _, v := range d.Targets() {
		q := v.Package
		if q.Installed != v || !m.untouched(q) || m.has(q, removed) {
			continue
		}
		switch {
		case m.has(q, loop) && inLoop:
			if d.Type == pool.Breaks && d.Implicit {
				continue
			}
			if !m.removeEarly(q, d) {
				return false
			}
			*bad = true
		case m.gone[q]:
			m.uninstall(q)
		case m.nested(pkg, inLoop, func() bool { return m.has(q, inList) && m.unpack(q, false, depth+1) }):
			*changed = *changed || !m.has(q, loop)
		case !m.has(q, removed) && !m.has(pkg, removed):
			if !m.removeEarly(q, d) {
				return false
			}
		}
	}
	return true
}

// removeEarly removes a package for a while. For Breaks dpkg deconfigures it
// by itself; essential packages are never removed.
func (m *manager) removeEarly(pkg *pool.Package, d *pool.Dep) bool {
	if !m.untouched(pkg) || m.has(pkg, removed) || d.Type == pool.Breaks {
		return true
	}
	if !m.has(pkg, inList) || pkg.Essential || pkg.Important {
		return false
	}
	m.uninstall(pkg)
	if !m.gone[pkg] {
		m.clear(pkg, states)
		m.set(pkg, removed)
	}
	return true
}

// removeConflicting removes installed packages whose Conflicts hit the new one.
func (m *manager) removeConflicting(pkg *pool.Package) {
	target := m.target(pkg)
	for _, q := range m.changed {
		if !m.untouched(pkg) || !m.untouched(q) {
			continue
		}
		deps := m.pool.Deps(q.Installed)
		for i := range deps {
			d := &deps[i]
			if d.Type != pool.Conflicts || d.Ignores(pkg) {
				continue
			}
			for _, v := range d.Targets() {
				if v == target {
					m.removeEarly(q, d)
				}
			}
		}
	}
}

// configure plans the configuration of an unpacked package after what it
// depends on. False means that it has to wait for the final call.
func (m *manager) configure(pkg *pool.Package, depth int) bool {
	if depth > maxTurns {
		return false
	}
	inLoop := m.has(pkg, loop)
	waiting, ok := m.unpackNeeded(pkg, inLoop, depth)
	if !ok || !m.configureNeeded(pkg, waiting, inLoop, depth) {
		return false
	}
	if inLoop {
		return true
	}
	if m.has(pkg, configured) {
		return false
	}
	m.do(Configure, pkg)
	m.clear(pkg, states)
	m.set(pkg, configured)
	if m.target(pkg).MultiArch == pool.MultiArchSame && !m.has(pkg, immediate) {
		for _, q := range m.pool.Group(pkg.Name) {
			if q != pkg && m.has(q, unpacked) && m.changes(q) && !m.configure(q, depth+1) {
				return false
			}
		}
	}
	return true
}

// unpackNeeded unpacks what the package depends on and lists the relations
// that are not yet fulfilled by configured packages.
func (m *manager) unpackNeeded(pkg *pool.Package, inLoop bool, depth int) (waiting [][]pool.Dep, ok bool) {
	deps := m.pool.Deps(m.target(pkg))
	changed := true
	for turn := 0; changed; turn++ {
		if turn > maxTurns {
			return nil, false
		}
		changed = false
		for i := 0; i < len(deps); {
			next := pool.GlobOr(deps, i)
			group := deps[i:next]
			i = next
			if t := group[0].Type; t != pool.Depends && t != pool.PreDepends {
				continue
			}
			if m.good(group, inLoop) {
				continue
			}
			bad := true
			if !m.unpackOne(pkg, group, inLoop, depth, &bad, &changed) {
				return nil, false
			}
			if bad {
				waiting = append(waiting, group)
			}
		}
	}
	return waiting, true
}

// good tells whether a relation holds already, or as far as a cycle allows.
func (m *manager) good(group []pool.Dep, inLoop bool) bool {
	for i := range group {
		bad := true
		for _, v := range group[i].Targets() {
			if m.present(v) {
				bad = false
				break
			}
			if m.target(v.Package) == v && m.untouched(v.Package) && inLoop && m.has(v.Package, unpacked) {
				bad = false
			}
		}
		if !bad {
			return true
		}
	}
	return false
}

// unpackOne unpacks the first package of the change that the relation means.
func (m *manager) unpackOne(pkg *pool.Package, group []pool.Dep, inLoop bool, depth int, bad, changed *bool) bool {
	for i := range group {
		for _, v := range group[i].Targets() {
			q := v.Package
			if m.present(v) || m.target(q) != v || !m.untouched(q) {
				continue
			}
			if inLoop {
				if m.has(q, unpacked) {
					*bad = false
				}
			} else {
				if !m.nested(pkg, inLoop, func() bool { return m.unpack(q, true, depth+1) }) {
					return false
				}
				*bad = false
				*changed = *changed || !m.has(q, loop)
			}
			break
		}
		if !*bad {
			return true
		}
	}
	return true
}

// configureNeeded configures unpacked packages that the relations mean.
func (m *manager) configureNeeded(pkg *pool.Package, waiting [][]pool.Dep, inLoop bool, depth int) bool {
	bad, changed := false, true
	for turn := 0; changed; turn++ {
		if turn > maxTurns {
			return false
		}
		changed = false
		for _, group := range waiting {
			bad = true
			if !m.configureOne(pkg, group, inLoop, depth, &bad, &changed) {
				return false
			}
		}
	}
	return !bad
}

func (m *manager) configureOne(pkg *pool.Package, group []pool.Dep, inLoop bool, depth int, bad, changed *bool) bool {
	for i := range group {
		for _, v := range group[i].Targets() {
			q := v.Package
			if m.target(q) != v {
				continue
			}
			if m.has(q, unpacked) {
				if m.has(q, loop) && inLoop {
					*bad = false
					break
				}
				if !m.nested(pkg, inLoop, func() bool { return m.configure(q, depth+1) }) {
					return false
				}
				*bad = false
				*changed = *changed || !m.has(q, loop)
				break
			}
			if m.has(q, configured) {
				*bad = false
				break
			}
		}
		if !*bad {
			return true
		}
	}
	return true
}
