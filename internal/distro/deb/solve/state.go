package solve

import (
	"slipway/internal/distro/deb/solve/pool"
)

type mode uint8

const (
	keep mode = iota
	install
	remove
)

// state is what is decided about one package.
type state struct {
	candidate *pool.Version // what an installation would take; nil if none
	target    *pool.Version // what will be there at the end; nil if nothing
	mode      mode
	requested bool // named by the request itself
	protected bool // asked for: only the user's word changes it
	auto      bool // came in to satisfy something else
	held      bool // must not change
	garbage   bool // new, and nothing wanted needs it
	refused   bool // asked to be absent
}

// when selects the moment a relation is judged for.
type when uint8

const (
	now        when = iota // with what is installed
	end                    // with what will be there at the end
	candidates             // with every package at its candidate
)

// solver holds the states of one run over one pool.
type solver struct {
	pool       *pool.Pool
	policy     *policy
	behave     behaviour
	recommends bool

	states  []*state        // by pool.Package.Index
	present []*pool.Package // packages whose target was ever set
	cause   map[*pool.Package]*pool.Dep
	wanted  map[*pool.Package]string // words of the request
}

func newSolver(p *pool.Pool, pol *policy, b behaviour, recommends bool, installed []*pool.Package) *solver {
	s := &solver{
		pool: p, policy: pol, behave: b, recommends: recommends,
		states: make([]*state, len(p.All())+64),
		cause:  map[*pool.Package]*pool.Dep{},
		wanted: map[*pool.Package]string{},
	}
	for _, pkg := range installed {
		s.of(pkg)
	}
	return s
}

// of is the state of a package, set up at first use.
func (s *solver) of(pkg *pool.Package) *state {
	for pkg.Index >= len(s.states) {
		s.states = append(s.states, make([]*state, len(s.states)/2+64)...)
	}
	st := s.states[pkg.Index]
	if st == nil {
		st = &state{candidate: s.policy.candidate(pkg), target: pkg.Installed}
		s.states[pkg.Index] = st
		if st.target != nil {
			s.present = append(s.present, pkg)
		}
	}
	return st
}

// setTarget decides what will be there.
func (s *solver) setTarget(pkg *pool.Package, st *state, v *pool.Version) {
	if v != nil && st.target == nil {
		s.present = append(s.present, pkg)
	}
	st.target = v
}

// targets lists the packages that will be there, without repetition.
func (s *solver) targets() []*pool.Package {
	kept := s.present[:0]
	seen := make(map[*pool.Package]bool, len(s.present))
	for _, pkg := range s.present {
		if s.of(pkg).target != nil && !seen[pkg] {
			seen[pkg] = true
			kept = append(kept, pkg)
		}
	}
	s.present = kept
	return append([]*pool.Package(nil), kept...)
}

func (s *solver) versionAt(pkg *pool.Package, w when) *pool.Version {
	switch w {
	case now:
		return pkg.Installed
	case end:
		return s.of(pkg).target
	}
	return s.of(pkg).candidate
}

// hits finds a version that the relation's words match at that moment.
func (s *solver) hits(d *pool.Dep, w when) *pool.Version {
	if !d.Ignores(d.Target) {
		if v := s.versionAt(d.Target, w); v != nil && d.Satisfied(v.Control.Version) {
			return v
		}
	}
	for _, pr := range d.Target.Providers {
		if d.IgnoresProvider(pr) {
			continue
		}
		if s.versionAt(pr.Owner.Package, w) == pr.Owner && d.Satisfied(pr.Version) {
			return pr.Owner
		}
	}
	return nil
}

// holds tells whether one alternative is as it should be.
func (s *solver) holds(d *pool.Dep, w when) bool {
	return (s.hits(d, w) != nil) != d.Negative()
}

// anyHolds judges the alternatives of one relation.
func (s *solver) anyHolds(alternatives []pool.Dep, w when) bool {
	for i := range alternatives {
		if s.holds(&alternatives[i], w) {
			return true
		}
	}
	return false
}

// important relations are followed when installing.
func (s *solver) important(d *pool.Dep) bool {
	return d.Critical() || d.Type == pool.Recommends && s.recommends
}

// health tells whether a version's critical relations hold, and whether its
// important ones do as well.
func (s *solver) health(v *pool.Version, w when) (sound, content bool) {
	if v == nil {
		return true, true
	}
	content = true
	deps := s.pool.Deps(v)
	for i := 0; i < len(deps); {
		next := pool.GlobOr(deps, i)
		if s.important(&deps[i]) && !s.anyHolds(deps[i:next], w) {
			if deps[i].Critical() {
				return false, false
			}
			content = false
		}
		i = next
	}
	return true, content
}

func (s *solver) broken(pkg *pool.Package) bool {
	sound, _ := s.health(s.of(pkg).target, end)
	return !sound
}

// brokenPackages lists packages whose relations will not hold, in visit order.
func (s *solver) brokenPackages() []*pool.Package {
	var list []*pool.Package
	for _, pkg := range s.targets() {
		if s.broken(pkg) {
			list = append(list, pkg)
		}
	}
	pool.SortVisit(list)
	return list
}

// changing tells whether the package will be installed or changed.
func (st *state) changing() bool { return st.mode == install }
