package index

import (
	"fmt"
	"strings"

	"slipway/internal/distro/apk/version"
)

// Dependency is one word of depends, provides, install_if or replaces, or of
// the world: [!]name[@tag][operator version].
type Dependency struct {
	Name     string
	Tag      string // repository tag, without the @
	Version  string
	Ops      version.Order // which orders satisfy it; version.Any without an operator
	Fuzzy    bool          // ~: the version may leave out parts
	Conflict bool          // !: no such package may be there
	Checksum bool          // ><: Version is a package's identity
}

// ParseDependency reads one word.
func ParseDependency(word string) (Dependency, error) {
	d := Dependency{Ops: version.Any}
	text, conflict := strings.CutPrefix(word, "!")
	d.Conflict = conflict
	d.Name = text
	if i := strings.IndexAny(text, "<>=~"); i >= 0 {
		d.Name, text = text[:i], text[i:]
		n := len(text) - len(strings.TrimLeft(text, "<>=~"))
		d.operator(text[:n])
		if d.Version = text[n:]; d.Version == "" || !d.Checksum && !version.Valid(d.Version) {
			return d, fmt.Errorf("dependency %.80q: %q is no version", word, d.Version)
		}
	}
	d.Name, d.Tag, _ = strings.Cut(d.Name, "@")
	if d.Name == "" || strings.ContainsAny(d.Name, " \t\n\x00") {
		return d, fmt.Errorf("dependency %.80q names no package", word)
	}
	return d, nil
}

func (d *Dependency) operator(text string) {
	d.Ops = 0
	for _, c := range text {
		switch c {
		case '<':
			d.Ops |= version.Less
		case '>':
			d.Ops |= version.Greater
		case '~':
			d.Ops |= version.Equal
			d.Fuzzy = true
		case '=':
			d.Ops |= version.Equal
		}
	}
	d.Checksum = d.Ops == version.Less|version.Greater
}

// ParseDependencies reads words in a line.
func ParseDependencies(line string) ([]Dependency, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, nil
	}
	out := make([]Dependency, 0, len(words))
	for _, w := range words {
		d, err := ParseDependency(w)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// String writes it as apk does.
func (d Dependency) String() string {
	var s strings.Builder
	if d.Conflict {
		s.WriteByte('!')
	}
	s.WriteString(d.Name)
	if d.Tag != "" {
		s.WriteString("@" + d.Tag)
	}
	if d.Version != "" {
		s.WriteString(d.symbol() + d.Version)
	}
	return s.String()
}

func (d Dependency) symbol() string {
	if d.Checksum {
		return "><"
	}
	if d.Fuzzy && d.Ops == version.Equal {
		return "~"
	}
	switch d.Ops {
	case version.Less:
		return "<"
	case version.Less | version.Equal:
		return "<="
	case version.Greater | version.Equal:
		return ">="
	case version.Greater:
		return ">"
	case version.Equal:
		return "="
	}
	return "?"
}

// Join writes dependencies with a separator.
func Join(list []Dependency, separator string) string {
	words := make([]string, len(list))
	for i, d := range list {
		words[i] = d.String()
	}
	return strings.Join(words, separator)
}

// Holds tells whether a provider of the name with this version ("" for a
// provider without one) and identity satisfies the dependency.
func (d Dependency) Holds(provided, identity string) bool {
	switch {
	case d.Checksum:
		return d.Version == identity
	case d.Version == "" && d.Ops == version.Any:
		return !d.Conflict
	case provided == "":
		return d.Conflict
	}
	order := version.Compare(provided, d.Version)
	if d.Fuzzy {
		order = version.Fuzzy(provided, d.Version)
	}
	return (order&d.Ops != 0) != d.Conflict
}

// Means tells whether the dependency is on this very package, by its own name.
func (d Dependency) Means(p *Package) bool {
	if d.Name != p.Name {
		return d.Conflict
	}
	return d.Holds(p.Version, p.Identity)
}
