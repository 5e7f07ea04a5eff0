package control

import (
	"fmt"
	"strings"
)

// MaxRelations bounds one relationship field. The longest known Provides
// (of the Rust and Haskell packages) have a few hundred.
const MaxRelations = 1 << 16

// Relation is one comma-separated element of a relationship field: any of
// its alternatives, in order of preference.
type Relation struct {
	Alternatives []Alternative
}

// Alternative names a package, maybe with a version (policy 7.1).
type Alternative struct {
	Name          string
	ArchQualifier string // "any", "native", an architecture, or ""
	Op            string // "<<", "<=", "=", ">=", ">>", or "" without a version
	Version       string
}

// String writes the alternative as a control file would.
func (a Alternative) String() string {
	s := a.Name
	if a.ArchQualifier != "" {
		s += ":" + a.ArchQualifier
	}
	if a.Op != "" {
		s += " (" + a.Op + " " + a.Version + ")"
	}
	return s
}

// String writes the relation as a control file would.
func (r Relation) String() string {
	parts := make([]string, len(r.Alternatives))
	for i, a := range r.Alternatives {
		parts[i] = a.String()
	}
	return strings.Join(parts, " | ")
}

// ParseRelations reads the value of Depends, Provides and the like. Lists of
// architectures in brackets and of build profiles in angles, which belong to
// source packages, are skipped; so are empty elements. The obsolete operators
// "<" and ">" become "<=" and ">=".
func ParseRelations(s string) ([]Relation, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	relations := make([]Relation, 0, strings.Count(s, ",")+1)
	if cap(relations) > MaxRelations {
		return nil, fmt.Errorf("reading relations: more than %d", MaxRelations)
	}
	for len(s) > 0 {
		var element string
		element, s, _ = strings.Cut(s, ",")
		if strings.TrimSpace(element) == "" {
			continue
		}
		r, err := parseRelation(element)
		if err != nil {
			return nil, fmt.Errorf("reading relation %.80q: %w", strings.TrimSpace(element), err)
		}
		relations = append(relations, r)
	}
	return relations, nil
}

func parseRelation(s string) (Relation, error) {
	var r Relation
	if !strings.Contains(s, "|") { // most have one alternative
		a, err := parseAlternative(s)
		r.Alternatives = []Alternative{a}
		return r, err
	}
	for _, part := range strings.Split(s, "|") {
		a, err := parseAlternative(part)
		if err != nil {
			return r, err
		}
		r.Alternatives = append(r.Alternatives, a)
	}
	return r, nil
}

// parseAlternative reads "name[:qualifier] [(op version)] [arch...] <profile...>".
func parseAlternative(s string) (Alternative, error) {
	var a Alternative
	s = trim(s)
	end := strings.IndexAny(s, " \t\r\n([<")
	if end < 0 {
		end = len(s)
	}
	name, rest := s[:end], trim(s[end:])
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name, a.ArchQualifier = name[:i], name[i+1:]
		if !validWord(a.ArchQualifier) {
			return a, fmt.Errorf("%q is not an architecture", a.ArchQualifier)
		}
	}
	if a.Name = name; !validWord(name) {
		return a, fmt.Errorf("%q is not a package name", name)
	}
	if strings.HasPrefix(rest, "(") {
		inside, after, closed := strings.Cut(rest[1:], ")")
		if !closed {
			return a, fmt.Errorf("the version has no closing parenthesis")
		}
		if err := a.setVersion(trim(inside)); err != nil {
			return a, err
		}
		rest = trim(after)
	}
	return a, skipRestrictions(rest)
}

// setVersion reads "op version"; without an operator "=" is meant.
func (a *Alternative) setVersion(s string) error {
	n := 0
	for n < len(s) && strings.IndexByte("<=>", s[n]) >= 0 {
		n++
	}
	a.Version = trim(s[n:])
	switch op := s[:n]; op {
	case "<<", "<=", "=", ">=", ">>":
		a.Op = op
	case "<", ">":
		a.Op = op + "="
	case "":
		a.Op = "="
	default:
		return fmt.Errorf("%q is not a relation (<<, <=, =, >=, >>)", op)
	}
	if a.Version == "" || strings.ContainsAny(a.Version, " \t\r\n(<>=") {
		return fmt.Errorf("%q is not a version", a.Version)
	}
	return nil
}

// skipRestrictions accepts any number of [arch lists] and <profile lists>.
func skipRestrictions(s string) error {
	for s != "" {
		closing := ""
		switch s[0] {
		case '[':
			closing = "]"
		case '<':
			closing = ">"
		default:
			return fmt.Errorf("unexpected %.40q after the package name", s)
		}
		_, after, found := strings.Cut(s, closing)
		if !found {
			return fmt.Errorf("%.40q is not closed by %q", s, closing)
		}
		s = trim(after)
	}
	return nil
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// validWord holds for what package and architecture names are made of. It
// allows upper case and underscores, which foreign archives do use.
func validWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 'A' && c <= 'Z':
		case strings.IndexByte("+-._", c) >= 0 && i > 0:
		default:
			return false
		}
	}
	return s != ""
}
