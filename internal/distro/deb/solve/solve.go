// Package solve chooses the packages of a machine: the set that Debian's own
// apt-get would install for the same request from the same indexes.
//
// It decides as apt's classic resolver does, step by step, because its
// answers depend on order: candidate versions by pin priority, alternatives
// from left to right, providers by apt's preferences, conflicts cleared by
// upgrade or removal, a repair pass by scores, and left-over packages dropped.
// It is no general solver: where apt gives up, so does it, and says why with
// the chains of relations that cannot hold together.
//
// What it does not do: download, unpack or order (package order does).
package solve

import (
	"fmt"
	"sort"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve/pool"
)

// Problem is one request.
type Problem struct {
	Packages  []*control.Package // all indexes, in apt's order
	Native    string             // architecture of the machine
	Foreign   []string           // further ones
	Installed []*control.Package // what is already there
	Want      []Want
	Pins      []Pin

	Recommends bool   // follow Recommends as well
	BaseSet    string // variant to begin with, see BaseSets; "" for none: Want is added to Installed

	// Suite limits the packages of the base set to one suite, as a machine
	// from "trixie" takes its essential set from there. "" means any.
	Suite string

	// Pool, if not nil, was made from Packages and Installed before. Indexes
	// are only read once this way.
	Pool *pool.Pool
}

// Want is one word of a request.
type Want struct {
	// Spec is NAME, NAME=VERSION, NAME/SUITE, NAME:ARCH, a glob ("nginx-mod-*"),
	// or any of them followed by "-" for a package that must not be there.
	Spec string
	// From says where the request was made, for messages: "packages" or a file.
	From string
}

// Solution is the answer.
type Solution struct {
	// Base is the essential set with all it needs, in the order in which its
	// packages are unpacked and then handed to one call of dpkg. Empty without
	// BaseSet.
	Base []*control.Package
	// Rest is what is installed on top of Base or Installed, by name.
	Rest []*control.Package
	// Removed lists installed packages that have to go, by name.
	Removed []*control.Package
	// Auto marks packages that nobody asked for by name.
	Auto map[string]bool
	// Reason tells for each package, by control.Package.ID, why it is there.
	Reason map[string]Reason

	pool    *pool.Pool
	problem Problem
	base    []*pool.Version
	diff    order.Change
}

// Plan is the sequence of dpkg calls that installs Rest and takes Removed
// away, on top of Base or what was installed.
func (sol *Solution) Plan() ([]order.Step, error) {
	defer sol.problem.countApt()()
	defer setInstalled(sol.base)()
	return order.Plan(sol.pool, sol.diff)
}

// BaseSets are the variants: "essential" is packages marked Essential with
// all they need, "apt" adds apt, "required" (also "minbase") the packages of
// that priority, "buildd" adds build-essential, "important" and "standard"
// add these priorities; "custom" starts from nothing.
var BaseSets = []string{"custom", "essential", "apt", "required", "minbase", "buildd", "important", "standard"}

// Solve answers a request. The error is a *ConflictError, an
// *UnknownPackageError, an *ImpossibleError or a *RequestError where the
// request cannot be met.
func Solve(p Problem) (*Solution, error) {
	if p.Pool == nil {
		p.Pool = pool.New(p.Native, p.Foreign, p.Packages, p.Installed)
	}
	defer p.countApt()()
	sol := &Solution{pool: p.Pool, problem: p, Auto: map[string]bool{}, Reason: map[string]Reason{}}
	var base []*pool.Version
	var err error
	wants := p.Want
	if p.BaseSet != "" {
		if base, wants, err = p.solveBase(sol); err != nil {
			return nil, err
		}
	}
	sol.base = base
	// The pool's installed versions are those of this run only.
	defer setInstalled(base)()
	s := p.solver(base)
	req, err := p.expand(s, wants)
	if err != nil {
		return nil, err
	}
	if p.BaseSet != "" {
		p.addPriorities(s, req)
	}
	if err := s.run(req); err != nil {
		return nil, err
	}
	s.collect(sol)
	return sol, nil
}

// solver prepares a run on top of what is installed.
func (p *Problem) solver(base []*pool.Version) *solver {
	var installed []*pool.Package
	for _, c := range p.Installed {
		if pkg := p.Pool.FindArch(c.Name, c.Architecture); pkg != nil && pkg.Installed != nil {
			installed = append(installed, pkg)
		}
	}
	for _, v := range base {
		installed = append(installed, v.Package)
	}
	return newSolver(p.Pool, newPolicy(p.Pins), behaviourOf(aptVersion(p.Pool)), p.Recommends, installed)
}

// aptVersion is the version of apt that the indexes offer: the release's own.
func aptVersion(p *pool.Pool) string {
	if pkg := p.Find("apt"); pkg != nil && len(pkg.Versions) > 0 {
		return pkg.Versions[0].Control.Version
	}
	return ""
}

// setInstalled pretends versions to be installed until the result is called.
func setInstalled(list []*pool.Version) (undo func()) {
	old := make([]*pool.Version, len(list))
	for i, v := range list {
		old[i], v.Package.Installed = v.Package.Installed, v
	}
	return func() {
		for i, v := range list {
			v.Package.Installed = old[i]
		}
	}
}

// request is a request with names looked up.
type request struct {
	install []*pool.Version
	remove  []*pool.Package
	words   map[*pool.Package]string
}

// run marks what was asked for and repairs the rest.
func (s *solver) run(req *request) error {
	for _, pkg := range req.remove {
		s.refuse(pkg)
	}
	for _, v := range req.install {
		s.request(v)
		s.wanted[v.Package] = req.words[v.Package]
	}
	later := make([]*pool.Package, 0, len(req.install))
	for _, v := range req.install {
		later = append(later, v.Package)
	}
	if len(later) > 1 {
		sort.SliceStable(later, func(i, j int) bool { return s.pool.Number(later[i]) < s.pool.Number(later[j]) })
	}
	for _, pkg := range later {
		s.installPackage(pkg, true, 0, true)
	}
	if !s.repair() || !s.granted(req) {
		return s.explain(req)
	}
	s.dropGarbage()
	if len(s.brokenPackages()) > 0 {
		return fmt.Errorf("resolving %v: left-over packages could not be dropped without breaking others", req)
	}
	return nil
}

// request marks one version as asked for.
func (s *solver) request(v *pool.Version) {
	st := s.of(v.Package)
	st.candidate = v
	st.requested, st.protected, st.refused = true, true, false
	s.installPackage(v.Package, false, 0, true)
	if st.mode != install {
		st.auto = false
	}
}

// refuse makes sure a package is not there at the end.
func (s *solver) refuse(pkg *pool.Package) {
	st := s.of(pkg)
	st.requested, st.protected, st.refused = true, true, true
	if pkg.Installed == nil {
		st.held = true
		return
	}
	s.removePackage(pkg, 0, true)
}

// granted tells whether everything asked for is as asked.
func (s *solver) granted(req *request) bool {
	for _, v := range req.install {
		if s.of(v.Package).target != v {
			return false
		}
	}
	for _, pkg := range req.remove {
		if s.of(pkg).target != nil {
			return false
		}
	}
	return true
}

// collect writes the outcome into the solution.
func (s *solver) collect(sol *Solution) {
	targets := s.targets()
	sort.Slice(targets, func(i, j int) bool { return targets[i].Name < targets[j].Name })
	for _, pkg := range targets {
		st := s.of(pkg)
		if st.target == pkg.Installed {
			continue
		}
		sol.Rest = append(sol.Rest, st.target.Control)
		sol.diff.Install = append(sol.diff.Install, st.target)
		sol.Auto[st.target.Control.ID()] = st.auto
	}
	for _, pkg := range s.pool.All() {
		if pkg.Installed != nil && s.of(pkg).target == nil {
			sol.Removed = append(sol.Removed, pkg.Installed.Control)
			sol.diff.Remove = append(sol.diff.Remove, pkg)
		}
	}
	s.reasons(sol)
}
