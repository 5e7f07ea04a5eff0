package index

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrFormat is wrapped by what is no index.
var ErrFormat = errors.New("not a package index this program can read")

// Bounds of one index, far above what a distribution has: 25,000 packages.
const (
	maxPackages = 1 << 20
	maxLine     = 1 << 20
)

// Parse reads the text of an APKINDEX. Packages that need a newer apk are left
// out, and counted.
func Parse(text string) (packages []*Package, skipped int, err error) {
	line := 0
	for len(text) > 0 {
		var block string
		block, text, _ = strings.Cut(text, "\n\n")
		first := line + 1
		line += strings.Count(block, "\n") + 2
		if strings.TrimSpace(block) == "" {
			continue
		}
		p, known, err := parseBlock(block)
		if err != nil {
			return nil, 0, fmt.Errorf("entry at line %d: %w", first, err)
		}
		if !known {
			skipped++
			continue
		}
		if packages = append(packages, p); len(packages) > maxPackages {
			return nil, 0, fmt.Errorf("%w: more than %d packages", ErrFormat, maxPackages)
		}
	}
	return packages, skipped, nil
}

// parseBlock reads one entry; known is false for one of a later format.
func parseBlock(block string) (p *Package, known bool, err error) {
	return ParseEntry(block, nil)
}

// ParseEntry reads one block of lines. What more is offered first: it takes the
// lines of the machine's own database, which an index has not.
func ParseEntry(block string, more func(letter byte, value string) (taken bool, err error)) (p *Package, known bool, err error) {
	p, known = &Package{}, true
	for text := range strings.Lines(block) {
		text = strings.TrimSuffix(text, "\n")
		if text == "" {
			continue
		}
		if len(text) < 2 || text[1] != ':' || len(text) > maxLine {
			return nil, false, fmt.Errorf("%w: line %.60q", ErrFormat, text)
		}
		if more != nil {
			taken, err := more(text[0], text[2:])
			if err != nil {
				return nil, false, fmt.Errorf("%s: line %.60q: %w", p.Name, text, err)
			}
			if taken {
				continue
			}
		}
		ok, err := p.field(text[0], text[2:])
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", p.Name, err)
		}
		known = known && ok
	}
	return p, known, p.complete()
}

func (p *Package) complete() error {
	switch {
	case !ValidName(p.Name):
		return fmt.Errorf("%w: %.60q is no name of a package", ErrFormat, p.Name)
	case p.Version == "" || strings.ContainsAny(p.Version, "/ \t"):
		return fmt.Errorf("%w: %s has the version %.60q", ErrFormat, p.Name, p.Version)
	case p.Identity == "":
		return fmt.Errorf("%w: %s has no identity", ErrFormat, p.Name)
	}
	return nil
}

// ValidName tells whether a text can name a package and thus a file.
func ValidName(name string) bool {
	if name == "" || len(name) > 200 || name[0] == '-' || name[0] == '.' && strings.Trim(name, ".") == "" {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("/<>=~!@\\\"'", c) >= 0 {
			return false
		}
	}
	return true
}

// field takes one line.
func (p *Package) field(letter byte, value string) (known bool, err error) {
	switch letter {
	case 'P':
		p.Name = value
	case 'V':
		p.Version = value
	case 'A':
		p.Arch = value
	case 'T':
		p.Description = value
	case 'U':
		p.URL = value
	case 'L':
		p.License = value
	case 'o':
		p.Origin = value
	case 'm':
		p.Maintainer = value
	case 'c':
		p.Commit = value
	case 'C':
		p.Identity, err = value, checkIdentity(value)
	case 'S':
		p.Size, err = number(value)
	case 'I':
		p.InstalledSize, err = number(value)
	case 't':
		p.BuildTime, err = number(value)
	case 'k':
		var n int64
		n, err = number(value)
		p.Priority = int(n)
	case 'D':
		p.Depends, err = ParseDependencies(value)
	case 'p':
		p.Provides, err = ParseDependencies(value)
	case 'i':
		p.InstallIf, err = ParseDependencies(value)
	default:
		return letter < 'A' || letter > 'Z', nil
	}
	return true, err
}

// checkIdentity wants Q1 (SHA-1) and 20 bytes; identities by MD5 are weak.
func checkIdentity(text string) error {
	raw, ok := strings.CutPrefix(text, "Q1")
	if !ok {
		return fmt.Errorf("%w: identity %.60q is not a SHA-1 (Q1...)", ErrFormat, text)
	}
	if sum, err := base64.StdEncoding.DecodeString(raw); err != nil || len(sum) != 20 {
		return fmt.Errorf("%w: identity %.60q", ErrFormat, text)
	}
	return nil
}

// Identity writes a SHA-1 as apk does.
func Identity(sha1 []byte) string { return "Q1" + base64.StdEncoding.EncodeToString(sha1) }

func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 63)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %.40q is no number", ErrFormat, text)
	}
	return n, nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
