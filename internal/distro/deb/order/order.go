// Package order plans the calls of dpkg that bring a set of packages onto a
// machine, in the sequence in which Debian's apt makes them.
//
// The sequence is part of the result: it decides which user ids daemons get,
// in which order lines are appended to files, and which triggers run when.
// Rules, in the order of their weight: what a package Pre-Depends on is
// configured before the package is unpacked; packages marked Essential and
// what they need are configured as soon as possible; everything else is
// unpacked in dependency order and configured together at the end, where dpkg
// itself sorts.
//
// The package plans only. It does not choose packages (package solve) and
// runs nothing.
package order

import (
	"fmt"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve/pool"
)

// Op is what dpkg is asked to do.
type Op string

// The calls of dpkg. All but the last run with --no-triggers.
const (
	Unpack           Op = "unpack"            // dpkg --unpack --auto-deconfigure, in this order
	Configure        Op = "configure"         // dpkg --configure, named packages
	Remove           Op = "remove"            // dpkg --force-depends --remove
	ConfigurePending Op = "configure-pending" // dpkg --configure --pending; triggers run too
)

// Step is one call of dpkg.
type Step struct {
	Op       Op
	Packages []*control.Package // empty for ConfigurePending
}

// Change is what a plan has to bring about. The pool knows what is installed.
type Change struct {
	Install []*pool.Version
	Remove  []*pool.Package
}

// Plan sorts a change into calls of dpkg.
func Plan(p *pool.Pool, c Change) ([]Step, error) {
	m := newManager(p, c)
	m.sortUnpack()
	if err := m.install(); err != nil {
		return nil, err
	}
	return m.steps(), nil
}

// Unpacking is the order in which a set is unpacked on an empty machine. An
// essential set is handed to dpkg in this order in a single call.
func Unpacking(p *pool.Pool, set []*pool.Version) ([]*pool.Version, error) {
	m := newManager(p, Change{Install: set})
	m.sortUnpack()
	if err := m.install(); err != nil {
		return nil, err
	}
	list := make([]*pool.Version, 0, len(set))
	for _, it := range m.plan {
		if it.op == Unpack {
			list = append(list, m.target(it.pkg))
		}
	}
	return list, nil
}

type flag uint16

const (
	added flag = 1 << iota
	pending
	immediate
	loop
	unpacked
	configured
	removed
	inList

	settled = unpacked | configured
	states  = unpacked | configured | removed
)

// manager is one planning run.
type manager struct {
	pool    *pool.Pool
	setup   map[*pool.Package]*pool.Version
	gone    map[*pool.Package]bool
	flags   map[*pool.Package]flag
	changed []*pool.Package // installed packages that change or go

	list []*pool.Package // to be changed, sorted
	plan []item
}

type item struct {
	op  Op
	pkg *pool.Package
}

func newManager(p *pool.Pool, c Change) *manager {
	m := &manager{
		pool: p, setup: map[*pool.Package]*pool.Version{},
		gone: map[*pool.Package]bool{}, flags: map[*pool.Package]flag{},
	}
	for _, v := range c.Install {
		m.setup[v.Package] = v
		m.list = append(m.list, v.Package)
	}
	for _, pkg := range c.Remove {
		m.gone[pkg] = true
		m.list = append(m.list, pkg)
	}
	pool.SortVisit(m.list)
	for _, pkg := range m.list {
		if pkg.Installed != nil {
			m.changed = append(m.changed, pkg)
		}
	}
	m.markImmediate()
	return m
}

// target is the version that will be there.
func (m *manager) target(pkg *pool.Package) *pool.Version {
	if m.gone[pkg] {
		return nil
	}
	if v := m.setup[pkg]; v != nil {
		return v
	}
	return pkg.Installed
}

func (m *manager) has(pkg *pool.Package, f flag) bool { return m.flags[pkg]&f == f }
func (m *manager) set(pkg *pool.Package, f flag)      { m.flags[pkg] |= f }
func (m *manager) clear(pkg *pool.Package, f flag)    { m.flags[pkg] &^= f }

// untouched tells whether nothing was planned for the package yet.
func (m *manager) untouched(pkg *pool.Package) bool { return m.flags[pkg]&settled == 0 }

// changes tells whether the package is part of the change.
func (m *manager) changes(pkg *pool.Package) bool {
	return m.gone[pkg] || m.setup[pkg] != nil && m.setup[pkg] != pkg.Installed
}

// markImmediate flags essential packages and all they need, which are to be
// configured as soon as they are unpacked.
func (m *manager) markImmediate() {
	for _, pkg := range m.pool.All() {
		if pkg.Essential && len(pkg.Versions) > 0 {
			m.set(pkg, immediate)
			m.spread(pkg, m.target)
			m.spread(pkg, func(q *pool.Package) *pool.Version { return q.Installed })
		}
	}
}

func (m *manager) spread(pkg *pool.Package, at func(*pool.Package) *pool.Version) {
	v := at(pkg)
	if v == nil {
		return
	}
	deps := m.pool.Deps(v)
	for i := range deps {
		d := &deps[i]
		if (d.Type == pool.Depends || d.Type == pool.PreDepends) && !m.has(d.Target, immediate) {
			m.set(d.Target, immediate)
			m.spread(d.Target, at)
		}
	}
}

func (m *manager) do(op Op, pkg *pool.Package) { m.plan = append(m.plan, item{op, pkg}) }

// steps groups equal operations into calls and adds the final one.
func (m *manager) steps() []Step {
	var list []Step
	for _, it := range m.plan {
		c := it.pkg.Installed
		if it.op != Remove {
			c = m.target(it.pkg)
		}
		if n := len(list); n == 0 || list[n-1].Op != it.op {
			list = append(list, Step{Op: it.op})
		}
		last := &list[len(list)-1]
		last.Packages = append(last.Packages, c.Control)
	}
	return append(list, Step{Op: ConfigurePending})
}

func cannot(pkg *pool.Package, what string) error {
	return fmt.Errorf("ordering %s: %s", pkg.Name, what)
}
