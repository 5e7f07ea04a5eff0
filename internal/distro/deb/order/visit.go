package order

import (
	"sort"

	"slipway/internal/distro/deb/solve/pool"
)

// rule looks at the relations of one package and visits what they ask to be
// handled before it.
type rule uint8

const (
	ruleNone       rule = iota
	ruleCritical        // Pre-Depends, Conflicts and Breaks
	ruleImmediate       // the same and Depends, for packages to be configured at once
	rulePreDepends      // Pre-Depends, and Depends below the first level
	ruleConfigure       // Depends only
)

// walk is one sorting pass.
type walk struct {
	m         *manager
	primary   rule
	secondary rule
	reverse   bool // installed packages that would break come first
	removal   bool // so do replacements of what is removed
	depth     int
	out       []*pool.Package
}

// sortUnpack brings the list into unpack order: a sort by weight, then four
// passes that each keep the order they find where their rule says nothing.
func (m *manager) sortUnpack() {
	sort.SliceStable(m.list, func(i, j int) bool {
		a, b := m.list[i], m.list[j]
		if x, y := m.score(a), m.score(b); x != y {
			return x > y
		}
		return a.Name < b.Name
	})
	m.pass(walk{primary: ruleCritical, secondary: ruleConfigure, reverse: true, removal: true})
	m.pass(walk{primary: ruleCritical, reverse: true, removal: true})
	m.pass(walk{primary: ruleCritical})
	m.pass(walk{primary: rulePreDepends})
}

// pass visits the list once; what a visit leads to goes before it.
func (m *manager) pass(w walk) {
	w.m = m
	for pkg := range m.flags {
		m.clear(pkg, added|pending|loop|inList)
	}
	for _, pkg := range m.list {
		m.set(pkg, inList)
	}
	for _, pkg := range m.list {
		w.visit(pkg)
	}
	m.list = w.out
}

var priorityScore = [...]int{0, 5, 4, 3, 1, 0}

// score orders packages before dependencies are looked at.
func (m *manager) score(pkg *pool.Package) int {
	if m.gone[pkg] {
		return 100
	}
	v := m.target(pkg)
	score := priorityScore[v.Priority]
	if pkg.Essential {
		score += 200
	}
	if m.has(pkg, immediate) {
		score += 10
	}
	deps := m.pool.Deps(v)
	for i := range deps {
		if deps[i].Type == pool.PreDepends {
			score += 50
			break
		}
	}
	return score
}

func (w *walk) visit(pkg *pool.Package) {
	m := w.m
	if m.flags[pkg]&(added|pending) != 0 || !m.has(pkg, inList) {
		return
	}
	w.depth++
	m.set(pkg, pending)
	old := w.primary
	if m.has(pkg, immediate) && w.primary != rulePreDepends && w.primary != ruleConfigure {
		w.primary = ruleImmediate
	}
	if m.untouched(pkg) || old == ruleConfigure {
		w.neighbours(pkg)
	}
	if !m.has(pkg, added) {
		m.clear(pkg, pending)
		m.set(pkg, added)
		w.out = append(w.out, pkg)
	}
	w.primary = old
	w.depth--
}

func (w *walk) neighbours(pkg *pool.Package) {
	if w.m.gone[pkg] {
		if w.removal {
			w.beforeRemoval(pkg)
		}
		return
	}
	w.apply(w.primary, pkg)
	if w.primary == ruleCritical || w.primary == ruleImmediate {
		w.conflictingInstalled(pkg)
	}
	if w.reverse {
		w.breakingInstalled(pkg)
	}
	w.apply(w.secondary, pkg)
}

// apply follows the forward relations of the version to be installed.
func (w *walk) apply(r rule, pkg *pool.Package) {
	if r == ruleNone {
		return
	}
	deps := w.m.pool.Deps(w.m.target(pkg))
	for i := range deps {
		d := &deps[i]
		if r == ruleConfigure {
			if d.Type == pool.Depends {
				w.visitTargets(d)
			}
			continue
		}
		if !w.concerns(r, d) {
			continue
		}
		if w.fulfilled(d) && !(w.m.has(d.Target, pending) && (d.Type == pool.PreDepends || r == rulePreDepends)) {
			continue
		}
		if w.m.flags[d.Target]&(added|pending) != 0 {
			continue // a cycle, or done
		}
		old := w.primary
		if r == ruleCritical && d.Type == pool.PreDepends {
			w.primary = ruleImmediate
		}
		w.visitTargets(d)
		w.primary = old
	}
}

// concerns tells whether a rule looks at a relation.
func (w *walk) concerns(r rule, d *pool.Dep) bool {
	switch r {
	case ruleCritical:
		return d.Negative() || d.Type == pool.PreDepends
	case ruleImmediate:
		return d.Critical()
	case rulePreDepends:
		return d.Type == pool.PreDepends ||
			d.Type == pool.Depends && (w.depth != 1 || w.m.has(d.Parent.Package, immediate))
	}
	return false
}

// visitTargets visits every package of the change that the relation means.
func (w *walk) visitTargets(d *pool.Dep) {
	m := w.m
	for _, v := range d.Targets() {
		if !d.Negative() && m.changes(v.Package) && m.target(v.Package) == v {
			w.visit(v.Package)
		}
	}
	if !d.Negative() {
		return
	}
	for _, goners := range []bool{true, false} {
		for _, v := range d.Targets() {
			if m.changes(v.Package) && m.gone[v.Package] == goners && v.Package.Installed == v {
				w.visit(v.Package)
			}
		}
	}
}

// fulfilled tells whether a relation holds with what was added so far.
func (w *walk) fulfilled(d *pool.Dep) bool { return w.fulfilledFor(d, false) }

func (w *walk) fulfilledFor(d *pool.Dep, reverse bool) bool {
	m := w.m
	for _, v := range d.Targets() {
		pkg := v.Package
		if m.has(pkg, added) || reverse && m.has(pkg, pending) {
			if m.target(pkg) != v {
				continue
			}
		} else if pkg.Installed != v {
			continue
		}
		if d.Negative() {
			return false
		}
		self := d.Parent.Package
		if reverse {
			self = d.Target
		}
		if pkg == self && m.target(pkg) != v {
			continue // an older version of the package itself does not count
		}
		return true
	}
	return d.Type == pool.Conflicts
}

// conflictingInstalled visits installed packages of the change whose
// Conflicts field hits the package.
func (w *walk) conflictingInstalled(pkg *pool.Package) {
	w.eachReverse(pkg, func(d *pool.Dep) {
		if d.Type == pool.Conflicts && !w.fulfilledFor(d, true) {
			w.visit(d.Parent.Package)
		}
	})
}

// breakingInstalled visits installed packages of the change that would break
// when the package is unpacked.
func (w *walk) breakingInstalled(pkg *pool.Package) {
	w.eachReverse(pkg, func(d *pool.Dep) {
		if d.Critical() && !w.fulfilledFor(d, true) {
			w.visit(d.Parent.Package)
		}
	})
}

// eachReverse goes through the relations of installed, changing packages that
// mean the package or something that it provides.
func (w *walk) eachReverse(pkg *pool.Package, look func(*pool.Dep)) {
	for _, q := range w.m.changed {
		deps := w.m.pool.Deps(q.Installed)
		for i := range deps {
			if w.means(&deps[i], pkg) {
				look(&deps[i])
			}
		}
	}
}

func (w *walk) means(d *pool.Dep, pkg *pool.Package) bool {
	if d.Target == pkg {
		return true
	}
	for _, v := range []*pool.Version{pkg.Installed, w.m.target(pkg)} {
		if v == nil {
			continue
		}
		for _, pr := range v.Provides {
			if pr.Target == d.Target {
				return true
			}
		}
	}
	return false
}

// beforeRemoval visits what takes over from a package that goes.
func (w *walk) beforeRemoval(pkg *pool.Package) {
	w.eachReverse(pkg, func(d *pool.Dep) {
		if d.Type != pool.Depends && d.Type != pool.PreDepends {
			return
		}
		for _, v := range d.Targets() {
			if w.m.setup[v.Package] == v && !w.m.has(v.Package, pending) {
				w.visit(v.Package)
			}
		}
		w.visit(d.Parent.Package)
	})
}
