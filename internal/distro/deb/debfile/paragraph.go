package debfile

import (
	"bytes"
	"fmt"
	"strings"
)

// Field is one field of a paragraph. Value is as written after the colon
// without surrounding blanks; its lines are separated by "\n", and those after
// the first keep their blanks, which dpkg's database preserves.
type Field struct{ Name, Value string }

// Paragraph is one stanza of deb822 data (deb822(5)) in its own field order,
// which dpkg's database preserves.
type Paragraph []Field

// Get returns a field by name without regard to case, and whether it is there.
func (p Paragraph) Get(name string) (string, bool) {
	for i := range p {
		if strings.EqualFold(p[i].Name, name) {
			return p[i].Value, true
		}
	}
	return "", false
}

// Value returns a field, or "".
func (p Paragraph) Value(name string) string {
	v, _ := p.Get(name)
	return v
}

// ParseParagraph reads the first paragraph of data and returns what follows
// it. Blank lines before it are skipped; without any paragraph it returns nil.
func ParseParagraph(data []byte) (p Paragraph, rest []byte, err error) {
	for len(data) > 0 {
		line, after, _ := bytes.Cut(data, []byte{'\n'})
		text := strings.TrimRight(string(line), " \t\r")
		switch {
		case text == "" && len(p) > 0:
			return p.trimmed(), after, nil
		case text == "" || text[0] == '#':
		case text[0] == ' ' || text[0] == '\t':
			if len(p) == 0 {
				return nil, nil, fmt.Errorf("%w: continuation line %.40q before any field", ErrFormat, text)
			}
			p[len(p)-1].Value += "\n" + string(line)
		default:
			name, value, ok := strings.Cut(string(line), ":")
			if !ok || name == "" || strings.ContainsAny(name, " \t") {
				return nil, nil, fmt.Errorf("%w: line %.40q is no field", ErrFormat, text)
			}
			if _, twice := p.Get(name); twice {
				return nil, nil, fmt.Errorf("%w: field %s appears twice", ErrFormat, name)
			}
			p = append(p, Field{name, strings.TrimLeft(value, " \t")})
		}
		data = after
	}
	return p.trimmed(), nil, nil
}

// trimmed takes the blanks off the end of each value.
func (p Paragraph) trimmed() Paragraph {
	for i := range p {
		p[i].Value = strings.TrimRight(p[i].Value, " \t\r\n")
	}
	return p
}
