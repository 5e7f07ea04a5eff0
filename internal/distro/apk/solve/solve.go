package solve

import (
	"container/list"
	"sort"

	"slipway/internal/distro/apk/index"
)

// Want is a word of the world and who wants it, for messages.
type Want struct {
	index.Dependency
	From string
}

// Problem is what is asked.
type Problem struct {
	Repositories []Repository
	Packages     []*index.Package // in the order of repositories, then of each index
	Base         []Want           // installed first, in a turn of their own
	World        []Want           // the rest
	Prior        map[string]bool  // identities that a lock had: they win over newer ones
}

// Solution is what to install, in order.
type Solution struct {
	Base, Rest []*index.Package
	Why        map[*index.Package]string // id of the package that needs it; "base" or "definition" for what is asked for
	Tag        map[*index.Package]string // repository tag by which it was allowed
}

// Solve finds the packages. The error is an *Unsatisfiable if there are none.
func Solve(p Problem) (*Solution, error) {
	s := &solver{pool: newPool(p.Repositories, p.Packages), dirty: list.New(), open: list.New(), why: map[*candidate]string{}}
	for _, c := range s.candidates {
		c.prior = p.Prior[c.Identity]
	}
	base, rest := s.words(p.Base), s.words(p.World)
	s.decide(sorted(append(append([]word(nil), base...), rest...)))
	split := s.changes(base, rest)
	if s.errors > 0 {
		return nil, s.explain(append(base, rest...))
	}
	out := &Solution{Why: map[*index.Package]string{}, Tag: map[*index.Package]string{}}
	for i, c := range s.order {
		if i < split {
			out.Base = append(out.Base, c.Package)
		} else {
			out.Rest = append(out.Rest, c.Package)
		}
		out.Why[c.Package] = s.why[c]
		out.Tag[c.Package] = s.tagOf(c)
	}
	return out, nil
}

// word is a Want with its name looked up.
type word struct {
	dependency
	tag  uint32
	from string
}

// words looks up the world; a name that is asked for twice counts once, as last.
func (s *solver) words(wants []Want) []word {
	var out []word
	at := map[*name]int{}
	for _, w := range wants {
		n := s.name(w.Name)
		n.asked = true
		next := word{dependency{w.Dependency, n}, 1 << s.tag(w.Tag), w.From}
		if i, twice := at[n]; twice {
			out[i] = next
			continue
		}
		at[n] = len(out)
		out = append(out, next)
	}
	return sorted(out)
}

// sorted is the order in which apk keeps the world.
func sorted(words []word) []word {
	sort.SliceStable(words, func(i, j int) bool { return index.Before(words[i].Name, words[j].Name) })
	return words
}

// decide assigns every name that is needed.
func (s *solver) decide(world []word) {
	for _, w := range world {
		s.discover(w.name)
	}
	for i := range world {
		s.inherit = world[i].tag
		s.constrain(nil, &world[i].dependency)
	}
	s.inherit = 0
	for {
		for e := s.dirty.Front(); e != nil; e = s.dirty.Front() {
			n := s.dirty.Remove(e).(*name)
			n.dirty = nil
			s.review(n)
		}
		n := s.next()
		if n == nil {
			return
		}
		s.choose(n)
	}
}

// tagOf is the first tag by which a package may come from its repositories.
func (s *solver) tagOf(c *candidate) string {
	for i, tag := range s.tags {
		if c.pinAllowed&(1<<i) != 0 && s.allowed[i]&c.repos != 0 {
			return tag
		}
	}
	return ""
}
