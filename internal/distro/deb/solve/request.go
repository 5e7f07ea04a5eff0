package solve

import (
	"errors"
	"path"
	"sort"
	"strings"

	"slipway/internal/distro/deb/solve/pool"
)

// expand looks the words of a request up. All words that mean nothing are
// reported at once.
func (p *Problem) expand(s *solver, wants []Want) (*request, error) {
	req := &request{words: map[*pool.Package]string{}}
	var problems []error
	for _, w := range wants {
		if err := p.expandOne(s, w, req); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 1 {
		return nil, problems[0]
	}
	if len(problems) > 1 {
		return nil, errors.Join(problems...)
	}
	return req, nil
}

func (p *Problem) expandOne(s *solver, w Want, req *request) error {
	spec, absent := strings.TrimSpace(w.Spec), false
	if rest, ok := strings.CutSuffix(spec, "-"); ok && p.Pool.Find(spec) == nil {
		spec, absent = rest, true
	} else if rest, ok := strings.CutPrefix(spec, "-"); ok {
		spec, absent = rest, true
	} else if rest, ok := strings.CutSuffix(spec, "+"); ok && p.Pool.Find(spec) == nil {
		spec = rest
	}
	name, tag, by := spec, "", byte(0)
	if i := strings.LastIndexAny(spec, "=/"); i >= 0 {
		name, tag, by = spec[:i], spec[i+1:], spec[i]
	}
	list, err := p.lookUp(s, w, name)
	if err != nil {
		if _, unknown := err.(*UnknownPackageError); unknown && absent {
			return nil // what does not exist is absent
		}
		return err
	}
	for _, pkg := range list {
		if absent {
			req.remove = append(req.remove, pkg)
			continue
		}
		v, err := pickVersion(s, w, pkg, tag, by)
		if err != nil {
			return err
		}
		if _, twice := req.words[pkg]; !twice {
			req.install = append(req.install, v)
		}
		req.words[pkg] = w.Spec
	}
	return nil
}

// lookUp finds the packages a word means: one, or all that a glob matches.
func (p *Problem) lookUp(s *solver, w Want, name string) ([]*pool.Package, error) {
	pkg := p.Pool.Find(name)
	if pkg != nil && len(pkg.Versions) > 0 {
		return []*pool.Package{pkg}, nil
	}
	if strings.ContainsAny(name, "*?[") {
		return p.glob(w, name)
	}
	if pkg == nil || len(pkg.Providers) == 0 {
		return nil, p.unknown(w, name)
	}
	var providers []*pool.Package
	seen := map[*pool.Package]bool{}
	for _, pr := range pkg.Providers {
		q := pr.Owner.Package
		if s.of(q).candidate == pr.Owner && !seen[q] {
			seen[q] = true
			providers = append(providers, q)
		}
	}
	if len(providers) == 1 {
		return providers, nil
	}
	return nil, virtualError(w, name, providers)
}

func (p *Problem) glob(w Want, pattern string) ([]*pool.Package, error) {
	var list []*pool.Package
	for _, pkg := range p.Pool.All() {
		if len(pkg.Versions) == 0 || pkg.Arch != p.Native {
			continue
		}
		ok, err := path.Match(pattern, pkg.Name)
		if err != nil {
			return nil, &RequestError{Spec: w.Spec, From: w.From, Text: "it is not a pattern: " + err.Error()}
		}
		if ok {
			list = append(list, pkg)
		}
	}
	if len(list) == 0 {
		return nil, &RequestError{Spec: w.Spec, From: w.From, Text: "no package name matches this pattern"}
	}
	sort.Slice(list, func(i, j int) bool { return p.Pool.Number(list[i]) < p.Pool.Number(list[j]) })
	return list, nil
}

// pickVersion is the candidate, or the version asked for.
func pickVersion(s *solver, w Want, pkg *pool.Package, tag string, by byte) (*pool.Version, error) {
	if by == 0 {
		if v := s.of(pkg).candidate; v != nil {
			return v, nil
		}
		return nil, &RequestError{Spec: w.Spec, From: w.From, Text: "every version of it is pinned away: " + listVersions(pkg)}
	}
	for _, v := range pkg.Versions {
		if by == '=' {
			if ok, err := path.Match(tag, v.Control.Version); v.Control.Version == tag || err == nil && ok {
				return v, nil
			}
			continue
		}
		for _, o := range v.Origins {
			if suiteMatches(o, tag) {
				return v, nil
			}
		}
	}
	return nil, &RequestError{Spec: w.Spec, From: w.From, Text: "there is no such version; there are " + listVersions(pkg)}
}

func listVersions(pkg *pool.Package) string {
	var list []string
	for _, v := range pkg.Versions {
		text := v.Control.Version
		for i, o := range v.Origins {
			if i == 0 {
				text += " from " + o.Suite
			} else {
				text += " and " + o.Suite
			}
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}
