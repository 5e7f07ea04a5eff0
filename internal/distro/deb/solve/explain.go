package solve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/distro/deb/solve/pool"
)

// explain finds out why a request has no answer. It follows only what is
// forced: relations that a single version can satisfy. Two forced things that
// exclude each other, or one that cannot be had, are the reason; where the
// resolver gave up on a real choice, the broken relation itself is named.
func (s *solver) explain(req *request) error {
	e := &explainer{s: s, req: req, how: map[*pool.Package]*step{}}
	for _, v := range req.install {
		if err := e.need(v, &step{version: v, word: req.words[v.Package]}); err != nil {
			return err
		}
	}
	for _, pkg := range s.pool.All() {
		if pkg.Installed != nil && (pkg.Essential || pkg.Important) {
			if err := e.need(pkg.Installed, &step{version: pkg.Installed, word: "the base"}); err != nil {
				return err
			}
		}
	}
	if err := e.grow(); err != nil {
		return err
	}
	return e.lastResort()
}

// step is how a forced version came to be forced.
type step struct {
	version *pool.Version
	from    *step
	dep     *pool.Dep
	word    string // of the request, at the first step
	before  Chain  // how the resolver came to an unforced first step
}

func (st *step) chain() Chain {
	if st.from == nil {
		return slices.Clone(st.before)
	}
	return append(st.from.chain(), link(st.dep, standIn(st.dep, st.version)))
}

// standIn names the package that satisfies a relation under another name.
func standIn(d *pool.Dep, v *pool.Version) string {
	name, _, _ := strings.Cut(d.Target.Name, ":")
	if name == v.Package.Name {
		return ""
	}
	return " (provided by " + v.Package.Name + ")"
}

func (st *step) name() string { return st.version.Package.Name }

func link(d *pool.Dep, suffix string) Link {
	return Link{Package: d.Parent.Package.Name, Verb: d.Type.String(), Relation: d.String() + suffix}
}

type explainer struct {
	s     *solver
	req   *request
	how   map[*pool.Package]*step
	queue []*step
}

// need enters a forced version.
func (e *explainer) need(v *pool.Version, st *step) error {
	if old := e.how[v.Package]; old != nil {
		if old.version == v {
			return nil
		}
		return e.versionClash(old, st)
	}
	e.how[v.Package] = st
	e.queue = append(e.queue, st)
	return nil
}

// fixed tells which version of a package is settled: asked for, or not to be
// changed.
func (e *explainer) fixed(pkg *pool.Package) *pool.Version {
	if st := e.how[pkg]; st != nil {
		return st.version
	}
	return nil
}

func (e *explainer) grow() error {
	for len(e.queue) > 0 {
		st := e.queue[0]
		e.queue = e.queue[1:]
		deps := e.s.pool.Deps(st.version)
		for i := 0; i < len(deps); {
			next := pool.GlobOr(deps, i)
			group := deps[i:next]
			i = next
			if !group[0].Critical() || group[0].Negative() {
				continue
			}
			if err := e.follow(st, group); err != nil {
				return err
			}
		}
	}
	return e.clashes()
}

// follow forces the only version that satisfies a relation.
func (e *explainer) follow(st *step, group []pool.Dep) error {
	var only *pool.Version
	via := &group[0]
	count := 0
	for i := range group {
		for _, v := range e.usable(&group[i]) {
			if v != only {
				only, via = v, &group[i]
				count++
			}
		}
	}
	switch count {
	case 0:
		return e.nothing(st, group)
	case 1:
		return e.need(only, &step{version: only, from: st, dep: via})
	}
	return nil
}

// usable lists versions that satisfy a relation and can be chosen at all.
func (e *explainer) usable(d *pool.Dep) []*pool.Version {
	var list []*pool.Version
	for _, v := range d.Targets() {
		pkg := v.Package
		ok := e.s.policy.candidate(pkg) == v || pkg.Installed == v || e.fixed(pkg) == v
		if f := e.fixed(pkg); f != nil && f != v {
			ok = false
		}
		if ok && !e.s.of(pkg).refused {
			list = append(list, v)
		}
	}
	return list
}

// nothing reports a relation that no choosable version satisfies.
func (e *explainer) nothing(st *step, group []pool.Dep) error {
	d := &group[0]
	way := append(st.chain(), link(d, alternatives(group[1:])))
	for i := range group {
		q := group[i].Target
		if name := e.refused(&group[i]); name != "" {
			return &ConflictError{First: way, Second: Chain{{Package: "the request", Verb: "asks for", Relation: name + " to be absent"}}}
		}
		if f := e.how[q]; f != nil && len(q.Versions) > 0 {
			return e.disputed(way, f)
		}
	}
	return &ImpossibleError{Missing: d.String() + alternatives(group[1:]), Have: have(e.s, d), Chain: way}
}

// refused names a package that would satisfy the relation but must be absent.
func (e *explainer) refused(d *pool.Dep) string {
	for _, v := range d.Targets() {
		if e.s.of(v.Package).refused {
			return v.Package.Name
		}
	}
	return ""
}

func (e *explainer) disputed(way Chain, f *step) error {
	second := f.chain()
	last := Link{Package: f.name(), Verb: "is", Relation: f.version.Control.Version}
	if f.from == nil {
		last.Verb = "is " + askedBy(f) + " at"
	}
	return &ConflictError{First: way, Second: append(second, last)}
}

func askedBy(f *step) string {
	if f.word == "the base" {
		return "part of the base"
	}
	return "asked for"
}

func alternatives(rest []pool.Dep) string {
	text := ""
	for i := range rest {
		text += " or " + rest[i].String()
	}
	return text
}

// have describes what exists of a wanted name.
func have(s *solver, d *pool.Dep) string {
	if c := s.policy.candidate(d.Target); c != nil {
		return c.String()
	}
	if len(d.Target.Versions) > 0 {
		return listVersions(d.Target) + ", pinned away"
	}
	for _, pr := range d.Target.Providers {
		if s.policy.candidate(pr.Owner.Package) == pr.Owner {
			return pr.Owner.String() + ", which provides " + strings.TrimSpace(d.Target.Name+" "+pr.Version)
		}
	}
	return ""
}

func (e *explainer) versionClash(a, b *step) error {
	return &ConflictError{
		First:  append(a.chain(), Link{Package: a.name(), Verb: "is to be", Relation: a.version.Control.Version}),
		Second: append(b.chain(), Link{Package: b.name(), Verb: "is to be", Relation: b.version.Control.Version}),
	}
}

// clashes looks for two forced versions that conflict.
func (e *explainer) clashes() error {
	list := make([]*pool.Package, 0, len(e.how))
	for pkg := range e.how {
		list = append(list, pkg)
	}
	pool.SortVisit(list)
	for _, pkg := range list {
		st := e.how[pkg]
		deps := e.s.pool.Deps(st.version)
		for i := range deps {
			d := &deps[i]
			if !d.Negative() {
				continue
			}
			for _, v := range d.Targets() {
				if other := e.how[v.Package]; other != nil && other.version == v {
					return e.conflict(st, d, other)
				}
			}
		}
	}
	return nil
}

func (e *explainer) conflict(st *step, d *pool.Dep, other *step) error {
	second := other.chain()
	if other.from == nil {
		second = Chain{{Package: other.name(), Verb: "is " + askedBy(other), Relation: ""}}
	}
	return &ConflictError{First: second, Second: append(st.chain(), link(d, standIn(d, other.version)))}
}

// lastResort explains a relation that the resolver left broken by what stands
// against its first choice.
func (e *explainer) lastResort() error {
	for _, pkg := range e.s.brokenPackages() {
		deps := e.s.pool.Deps(e.s.of(pkg).target)
		for i := 0; i < len(deps); {
			next := pool.GlobOr(deps, i)
			group := deps[i:next]
			i = next
			if group[0].Critical() && !e.s.anyHolds(group, end) {
				return e.broken(pkg, group)
			}
		}
	}
	return fmt.Errorf("resolving %v: the request cannot be met together with what is installed", e.req)
}

func (e *explainer) broken(pkg *pool.Package, group []pool.Dep) error {
	way := append(e.s.way(pkg), link(&group[0], alternatives(group[1:])))
	if v := e.s.hits(&group[0], end); v != nil {
		return &ConflictError{First: way, Second: append(e.s.way(v.Package), Link{Package: v.Package.Name, Verb: "is needed as well"})}
	}
	for i := range group {
		for _, v := range group[i].Targets() {
			if err := e.suppose(pkg, &group[i], v); err != nil {
				return err
			}
		}
	}
	return &ConflictError{First: way, Second: Chain{{Package: "every choice for it", Verb: "conflicts with something else that is needed"}},
		Hint: "name the alternative you want among the packages"}
}

// suppose takes one choice for granted and tells what stands against it.
func (e *explainer) suppose(pkg *pool.Package, d *pool.Dep, v *pool.Version) error {
	from := e.how[pkg]
	if from == nil {
		from = &step{version: e.s.of(pkg).target, before: e.s.way(pkg)}
	}
	trial := &explainer{s: e.s, req: e.req, how: maps.Clone(e.how)}
	if err := trial.need(v, &step{version: v, from: from, dep: d}); err != nil {
		return err
	}
	return trial.grow()
}

// way is the chain by which marking came to a package.
func (s *solver) way(pkg *pool.Package) Chain {
	var c Chain
	for seen := map[*pool.Package]bool{}; s.wanted[pkg] == "" && s.cause[pkg] != nil && !seen[pkg]; {
		seen[pkg] = true
		d := s.cause[pkg]
		suffix := ""
		if v := s.of(pkg).target; v != nil {
			suffix = standIn(d, v)
		}
		c = append(Chain{link(d, suffix)}, c...)
		pkg = d.Parent.Package
	}
	return c
}

// String lists what was asked for.
func (r *request) String() string {
	text := ""
	for _, v := range r.install {
		if text != "" {
			text += " "
		}
		text += v.Package.Name
	}
	return text
}
