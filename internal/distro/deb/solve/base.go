package solve

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve/pool"
)

// solveBase finds the essential set. The rest of the variant joins the
// request that is resolved on top of it.
func (p *Problem) solveBase(sol *Solution) (base []*pool.Version, wants []Want, err error) {
	if !slices.Contains(BaseSets, p.BaseSet) {
		return nil, nil, &RequestError{Spec: p.BaseSet, Text: fmt.Sprintf("there is no base set %q; there are %s", p.BaseSet, strings.Join(BaseSets, ", "))}
	}
	wants = p.Want
	if p.BaseSet == "custom" {
		return nil, wants, nil
	}
	if p.BaseSet == "buildd" {
		wants = append(slices.Clone(wants), Want{Spec: "build-essential", From: "the base set buildd"})
	}
	s := p.solver(nil)
	req := &request{words: map[*pool.Package]string{}}
	for _, pkg := range p.Pool.All() {
		if pkg.Arch == p.Native && pkg.Essential && p.inSuite(pkg) {
			if v := s.of(pkg).candidate; v != nil {
				req.install = append(req.install, v)
				req.words[pkg] = "the base"
			}
		}
	}
	if err := s.run(req); err != nil {
		return nil, nil, fmt.Errorf("resolving the essential set: %w", err)
	}
	for _, pkg := range s.targets() {
		base = append(base, s.of(pkg).target)
	}
	if base, err = order.Unpacking(p.Pool, base); err != nil {
		return nil, nil, fmt.Errorf("ordering the essential set: %w", err)
	}
	for _, v := range base {
		sol.Base = append(sol.Base, v.Control)
		sol.Auto[v.Control.ID()] = false // dpkg installs these; nothing is marked
	}
	s.reasons(sol)
	return base, wants, nil
}

// countApt makes apt count as essential, as it sees itself, until the result
// is called. The other variants switch that view off.
func (p *Problem) countApt() (undo func()) {
	apt := p.Pool.Find("apt")
	if p.BaseSet != "apt" || apt == nil {
		return func() {}
	}
	essential, important := apt.Essential, apt.Important
	apt.Essential, apt.Important = true, true
	return func() { apt.Essential, apt.Important = essential, important }
}

// inSuite tells whether the base suite offers a version of the package.
func (p *Problem) inSuite(pkg *pool.Package) bool {
	if p.Suite == "" {
		return len(pkg.Versions) > 0
	}
	for _, v := range pkg.Versions {
		for _, o := range v.Origins {
			if o.Archive == p.Suite || o.Codename == p.Suite {
				return true
			}
		}
	}
	return false
}

// addPriorities adds the packages of the variant's priorities, and apt, which
// has another priority in Ubuntu.
func (p *Problem) addPriorities(s *solver, req *request) {
	limit := map[string]pool.Priority{"required": pool.Required, "minbase": pool.Required, "buildd": pool.Required,
		"important": pool.Important, "standard": pool.Standard}[p.BaseSet]
	if limit == 0 {
		return
	}
	var list []*pool.Package
	for _, pkg := range p.Pool.All() {
		if pkg.Arch == p.Native && !pkg.Essential && p.hasPriority(pkg, limit) && s.of(pkg).candidate != nil {
			list = append(list, pkg)
		}
	}
	sort.Slice(list, func(i, j int) bool { return p.Pool.Number(list[i]) < p.Pool.Number(list[j]) })
	for _, pkg := range list {
		if !s.of(pkg).refused && !slices.Contains(req.remove, pkg) && req.words[pkg] == "" {
			req.install = append(req.install, s.of(pkg).candidate)
			req.words[pkg] = "priority " + strings.ToLower(s.of(pkg).candidate.Control.Priority)
		}
	}
	if apt := p.Pool.Find("apt"); apt != nil && !apt.Essential && req.words[apt] == "" && s.of(apt).candidate != nil && !s.of(apt).refused && !slices.Contains(req.remove, apt) {
		req.install = append(req.install, s.of(apt).candidate)
		req.words[apt] = "the base"
	}
}

// hasPriority looks for one version that is in the suite and that important.
func (p *Problem) hasPriority(pkg *pool.Package, limit pool.Priority) bool {
	for _, v := range pkg.Versions {
		if v.Priority == 0 || v.Priority > limit {
			continue
		}
		if p.Suite == "" {
			return true
		}
		for _, o := range v.Origins {
			if o.Archive == p.Suite || o.Codename == p.Suite {
				return true
			}
		}
	}
	return false
}
