package solve

import (
	"slices"
	"sort"

	"slipway/internal/distro/deb/solve/pool"
	"slipway/internal/distro/deb/version"
)

// sweep finds packages that nothing wanted needs any more: those that were
// marked on the way to an answer and then left over.
func (s *solver) sweep() {
	w := sweeper{s: s, marked: map[*pool.Package]bool{}, explored: map[*pool.Package]bool{}}
	targets := s.targets()
	pool.SortVisit(targets)
	for _, pkg := range targets {
		st := s.of(pkg)
		root := !st.auto || pkg.Essential || pkg.Important || st.held ||
			pkg.Installed != nil && pkg.Installed.Priority == pool.Required
		if root {
			w.mark(pkg, w.present(pkg), 0)
		}
	}
	for _, pkg := range targets {
		st := s.of(pkg)
		st.garbage = !w.marked[pkg]
	}
}

type sweeper struct {
	s        *solver
	marked   map[*pool.Package]bool
	explored map[*pool.Package]bool
}

// present is the version that will be there, nil if none.
func (w *sweeper) present(pkg *pool.Package) *pool.Version {
	st := w.s.of(pkg)
	if st.mode == install {
		return st.target
	}
	if st.mode == remove {
		return nil
	}
	return pkg.Installed
}

func (w *sweeper) mark(pkg *pool.Package, v *pool.Version, depth int) {
	if v == nil || w.marked[pkg] || depth > maxDepth {
		return
	}
	w.marked[pkg] = true
	deps := w.s.pool.Deps(v)
	for i := range deps {
		d := &deps[i]
		switch d.Type {
		case pool.PreDepends, pool.Depends, pool.Recommends, pool.Suggests:
			if !w.explored[d.Target] {
				w.follow(d, depth)
			}
		}
	}
}

func (w *sweeper) follow(d *pool.Dep, depth int) {
	open := false // something there is not good enough
	bySource := map[string][]*pool.Version{}
	var sources []string
	add := func(v *pool.Version) {
		src := v.Control.Source
		if _, ok := bySource[src]; !ok {
			sources = append(sources, src)
		}
		bySource[src] = append(bySource[src], v)
	}
	if v := w.present(d.Target); v != nil {
		if d.Satisfied(v.Control.Version) {
			add(v)
		} else {
			open = true
		}
	}
	for _, pr := range d.Target.Providers {
		if w.present(pr.Owner.Package) != pr.Owner {
			continue
		}
		if d.Satisfied(pr.Version) {
			add(pr.Owner)
		} else {
			open = true
		}
	}
	if !open {
		w.explored[d.Target] = true
	}
	w.markProviders(bySource, sources, depth)
}

func (w *sweeper) markProviders(bySource map[string][]*pool.Version, sources []string, depth int) {
	installed := func(v *pool.Version) bool { return v.Package.Installed != nil }
	onlyInstalled := false
	if w.s.behave.preferInstalledProviders && len(sources) > 1 {
		for _, list := range bySource {
			onlyInstalled = onlyInstalled || slices.ContainsFunc(list, installed)
		}
	}
	for _, src := range sources {
		for _, v := range newestOfSource(bySource[src]) {
			if !onlyInstalled || installed(v) {
				w.mark(v.Package, v, depth+1)
			}
		}
	}
}

func newestOfSource(list []*pool.Version) []*pool.Version {
	if len(list) < 2 {
		return list
	}
	best := sourceVersion(list[0].Control.Version)
	for _, v := range list[1:] {
		if sv := sourceVersion(v.Control.Version); version.Compare(sv, best) > 0 {
			best = sv
		}
	}
	return slices.DeleteFunc(list, func(v *pool.Version) bool { return sourceVersion(v.Control.Version) != best })
}

// dropGarbage takes new packages back that nothing needs, and saves those
// whose absence would break something after all.
func (s *solver) dropGarbage() {
	s.sweep()
	var dropped []*pool.Package
	targets := s.targets()
	sort.Slice(targets, func(i, j int) bool { return targets[i].Name < targets[j].Name })
	for _, pkg := range targets {
		st := s.of(pkg)
		if st.garbage && pkg.Installed == nil && st.mode == install {
			s.removePackage(pkg, 0, false)
			dropped = append(dropped, pkg)
		}
	}
	if len(dropped) == 0 {
		return
	}
	sort.Slice(dropped, func(i, j int) bool { return s.pool.Number(dropped[i]) < s.pool.Number(dropped[j]) })
	for s.anyUnwell() {
		i := slices.IndexFunc(dropped, s.neededAfterAll)
		if i < 0 {
			return
		}
		s.installPackage(dropped[i], false, 0, false)
		dropped = slices.Delete(dropped, i, i+1)
	}
}

func (s *solver) anyUnwell() bool {
	for _, pkg := range s.targets() {
		if _, content := s.health(s.of(pkg).target, end); !content {
			return true
		}
	}
	return false
}

// neededAfterAll finds a relation of a present package that the dropped
// package's candidate satisfies and that no installed package does.
func (s *solver) neededAfterAll(pkg *pool.Package) bool {
	cand := s.of(pkg).candidate
	if cand == nil {
		return false
	}
	for _, q := range s.targets() {
		deps := s.pool.Deps(s.of(q).target)
		for i := range deps {
			d := &deps[i]
			if d.Negative() || !s.important(d) || !meets(d, cand) {
				continue
			}
			if v := s.hits(d, now); v == nil || s.of(v.Package).target != v {
				return true
			}
		}
	}
	return false
}

// meets tells whether one version satisfies a relation by name or stand-in.
func meets(d *pool.Dep, v *pool.Version) bool {
	if d.Target == v.Package && d.Satisfied(v.Control.Version) {
		return true
	}
	for _, pr := range v.Provides {
		if pr.Target == d.Target && d.Satisfied(pr.Version) {
			return true
		}
	}
	return false
}

// sourceVersion strips the mark of a rebuild without source change.
func sourceVersion(v string) string {
	end := len(v)
	for end > 0 && v[end-1] >= '0' && v[end-1] <= '9' {
		end--
	}
	if end < len(v) && end >= 2 && v[end-2:end] == "+b" {
		return v[:end-2]
	}
	return v
}
