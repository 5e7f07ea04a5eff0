package solve

import (
	"fmt"
	"strings"

	"slipway/internal/edits"
)

// Unsatisfiable says why there is no solution: one line per cause.
type Unsatisfiable struct {
	Causes []string
}

func (e *Unsatisfiable) Error() string {
	return "these packages cannot be installed together:\n  " + strings.Join(e.Causes, "\n  ")
}

// maxCauses bounds the lines of an error.
const maxCauses = 12

// explain lists the dependencies of the world, and of what was chosen for it,
// that do not hold.
func (s *solver) explain(world []word) error {
	e := &Unsatisfiable{}
	said := map[string]bool{}
	add := func(who string, d *dependency) {
		text := s.cause(who, d)
		if text != "" && !said[text] && len(e.Causes) < maxCauses {
			said[text] = true
			e.Causes = append(e.Causes, text)
		}
	}
	for i := range world {
		add(world[i].from, &world[i].dependency)
	}
	seen := map[*candidate]bool{}
	var visit func(n *name)
	visit = func(n *name) {
		c := n.chosen.c
		if c == nil || seen[c] {
			return
		}
		seen[c] = true
		for i := range c.depends {
			add(c.Name+"-"+c.Version, &c.depends[i])
			visit(c.depends[i].name)
		}
		for _, d := range c.provides {
			s.clash(c, d, add)
		}
	}
	for i := range world {
		visit(world[i].name)
	}
	if len(e.Causes) == 0 {
		e.Causes = append(e.Causes, s.brokenOnes())
	}
	return e
}

// clash adds a pair of packages that provide the same name.
func (s *solver) clash(c *candidate, d dependency, add func(string, *dependency)) {
	if other := d.name.chosen.c; other != nil && other != c && (d.Version != "" || d.name.chosen.version != "") {
		w := d
		w.Conflict, w.Version = true, ""
		add(c.Name+"-"+c.Version+", which provides the same,", &w)
	}
}

func (s *solver) brokenOnes() string {
	var names []string
	for _, c := range s.candidates {
		if c.broken {
			names = append(names, c.Name+"-"+c.Version)
		}
	}
	return "conflicts among: " + strings.Join(names, ", ")
}

// cause says why one dependency does not hold; "" if it does.
func (s *solver) cause(who string, d *dependency) string {
	n := d.name
	if d.by(n.chosen) && (n.chosen.c == nil || n.chosen.c.selectable && n.chosen.c.tagOK || d.Conflict) {
		return ""
	}
	word := d.String()
	switch {
	case len(n.providers) == 0:
		return fmt.Sprintf("%s wants %s: there is no such package%s", who, word, s.nearest(n.text))
	case d.Conflict:
		return fmt.Sprintf("%s does not go with %s", who, chosenName(n))
	case n.chosen.c == nil:
		return fmt.Sprintf("%s wants %s: choose one that provides it: %s", who, word, providersOf(n))
	case !n.chosen.c.tagOK:
		return fmt.Sprintf("%s wants %s: it is only in a tagged repository; write %s@TAG", who, word, n.text)
	case !s.anyone(d):
		return fmt.Sprintf("%s wants %s: there is only %s", who, word, providersOf(n))
	}
	return fmt.Sprintf("%s wants %s: %s", who, word, s.refusal(n))
}

// anyone tells whether some package would satisfy the dependency by itself.
func (s *solver) anyone(d *dependency) bool {
	for _, p := range d.name.providers {
		if d.by(p) {
			return true
		}
	}
	return false
}

func (s *solver) refusal(n *name) string {
	c := n.chosen.c
	for i := range c.depends {
		if d := &c.depends[i]; !s.satisfiable(d) {
			return fmt.Sprintf("%s-%s needs %s, which cannot be had", c.Name, c.Version, d.String())
		}
	}
	return fmt.Sprintf("something else excludes %s-%s", c.Name, c.Version)
}

func chosenName(n *name) string {
	if c := n.chosen.c; c != nil {
		return c.Name + "-" + c.Version
	}
	return n.text
}

// maxNamed bounds how many packages a message lists.
const maxNamed = 8

func providersOf(n *name) string {
	var names []string
	for i, p := range n.providers {
		if i == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(n.providers)-i))
			break
		}
		names = append(names, p.c.Name+"-"+p.c.Version)
	}
	return strings.Join(names, ", ")
}

// nearest suggests the name that was probably meant.
func (s *solver) nearest(text string) string {
	best, distance := "", 3
	for _, n := range s.pool.order {
		if len(n.providers) == 0 || strings.Contains(n.text, ":") {
			continue
		}
		if d := edits.Distance(text, n.text, 2); d < distance {
			best, distance = n.text, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
