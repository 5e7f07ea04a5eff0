package control

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Parser turns paragraphs into packages and keeps one copy of each string
// that repeats (versions, sections, maintainers' favourite dependencies). It
// is not safe for use by several goroutines.
type Parser struct {
	strings map[string]string // nil: nothing is kept
}

// maxInterned bounds the table, not the input: further strings are copied.
const maxInterned = 1 << 18

// NewParser returns an empty Parser.
func NewParser() *Parser { return &Parser{strings: map[string]string{}} }

// ParsePackage makes a package of one paragraph of an index, or of the
// control file of a .deb (which has no Filename, Size or SHA256). The result
// shares no memory with the paragraph. Origin stays nil.
func ParsePackage(par *Paragraph) (*Package, error) {
	p := new(Package)
	if err := new(Parser).Parse(par, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Parse fills p from a paragraph, as ParsePackage does.
func (t *Parser) Parse(par *Paragraph, p *Package) error {
	*p = Package{}
	var problem error
	for i := range par.Fields {
		f := &par.Fields[i]
		if set, ok := setters[f.Name]; ok {
			if err := set(t, p, f.Value); err != nil && problem == nil {
				problem = fmt.Errorf("field %s: %w", f.Name, err)
			}
		} else if name, ok := canonical[strings.ToLower(f.Name)]; ok && name != f.Name {
			if err := setters[name](t, p, f.Value); err != nil && problem == nil {
				problem = fmt.Errorf("field %s: %w", f.Name, err)
			}
		}
	}
	if problem == nil {
		problem = complete(p)
	}
	if problem != nil {
		return fmt.Errorf("reading the paragraph of %q at line %d: %w", p.Name, par.Line, problem)
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	return nil
}

// complete checks the fields without which nothing can be done.
func complete(p *Package) error {
	switch {
	case p.Name == "":
		return errors.New("it has no Package field")
	case !validWord(p.Name):
		return fmt.Errorf("%q is not a package name", p.Name)
	case p.Version == "":
		return errors.New("it has no Version field")
	case p.Architecture == "":
		return errors.New("it has no Architecture field")
	case !validWord(p.Architecture):
		return fmt.Errorf("%q is not an architecture", p.Architecture)
	}
	return nil
}

// setter stores one field's value.
type setter func(t *Parser, p *Package, value []byte) error

var setters = map[string]setter{
	"Package":        text(func(p *Package) *string { return &p.Name }),
	"Version":        text(func(p *Package) *string { return &p.Version }),
	"Architecture":   text(func(p *Package) *string { return &p.Architecture }),
	"Multi-Arch":     text(func(p *Package) *string { return &p.MultiArch }),
	"Priority":       text(func(p *Package) *string { return &p.Priority }),
	"Section":        text(func(p *Package) *string { return &p.Section }),
	"Depends":        text(func(p *Package) *string { return &p.Depends }),
	"Pre-Depends":    text(func(p *Package) *string { return &p.PreDepends }),
	"Recommends":     text(func(p *Package) *string { return &p.Recommends }),
	"Suggests":       text(func(p *Package) *string { return &p.Suggests }),
	"Conflicts":      text(func(p *Package) *string { return &p.Conflicts }),
	"Breaks":         text(func(p *Package) *string { return &p.Breaks }),
	"Replaces":       text(func(p *Package) *string { return &p.Replaces }),
	"Provides":       text(func(p *Package) *string { return &p.Provides }),
	"Enhances":       text(func(p *Package) *string { return &p.Enhances }),
	"Filename":       text(func(p *Package) *string { return &p.Filename }),
	"Installed-Size": number(func(p *Package) *int64 { return &p.InstalledSize }),
	"Size":           number(func(p *Package) *int64 { return &p.Size }),
	"Essential":      flag(func(p *Package) *bool { return &p.Essential }),
	"Protected":      flag(func(p *Package) *bool { return &p.Protected }),
	"Important":      flag(func(p *Package) *bool { return &p.Protected }),
	"Source":         setSource,
	"SHA256":         setSHA256,
}

// canonical maps lower-case field names to the spelling in setters.
var canonical = func() map[string]string {
	m := make(map[string]string, len(setters))
	for name := range setters {
		m[strings.ToLower(name)] = name
	}
	return m
}()

func text(field func(*Package) *string) setter {
	return func(t *Parser, p *Package, value []byte) error {
		*field(p) = t.intern(oneLine(value))
		return nil
	}
}

func number(field func(*Package) *int64) setter {
	return func(_ *Parser, p *Package, value []byte) error {
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%.40q is not a size", value)
		}
		*field(p) = n
		return nil
	}
}

// flag sets its field for "yes" and leaves it otherwise, so that Protected
// and Important may both be given.
func flag(field func(*Package) *bool) setter {
	return func(_ *Parser, p *Package, value []byte) error {
		if string(value) == "yes" {
			*field(p) = true
		}
		return nil
	}
}

// setSource drops the version that follows the source's name if it differs
// from the package's own.
func setSource(t *Parser, p *Package, value []byte) error {
	if i := bytes.IndexAny(value, " ("); i >= 0 {
		value = value[:i]
	}
	p.Source = t.intern(value)
	return nil
}

func setSHA256(_ *Parser, p *Package, value []byte) error {
	digest := strings.ToLower(string(value))
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
		return fmt.Errorf("%.80q is not a SHA-256 digest", value)
	}
	p.SHA256 = digest
	return nil
}

// oneLine joins the lines of a folded field (policy 5.1).
func oneLine(value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 {
		return value
	}
	return bytes.Join(bytes.Fields(value), []byte(" "))
}

func (t *Parser) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := t.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if t.strings != nil && len(t.strings) < maxInterned {
		t.strings[s] = s
	}
	return s
}
