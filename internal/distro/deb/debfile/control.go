package debfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/distro/deb/control"
)

// Control reads what a local .deb says about itself, as an index would: with
// its size, SHA-256, and its absolute path as Filename. Origin is nil.
func Control(path string) (*control.Package, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(abs)
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return nil, fmt.Errorf("reading package %s: %w", path, err)
	}
	d := &reader{name: filepath.Base(path), r: f, size: size, limits: DefaultLimits}
	members, err := d.readControl()
	if err != nil {
		return nil, err
	}
	para, err := d.paragraph(members)
	if err != nil {
		return nil, err
	}
	p := toPackage(para)
	p.Filename, p.Size, p.SHA256 = abs, size, hex.EncodeToString(h.Sum(nil))
	return p, nil
}

func toPackage(p Paragraph) *control.Package {
	source, _, _ := strings.Cut(p.Value("Source"), " ")
	if source == "" {
		source = p.Value("Package")
	}
	installed, _ := strconv.ParseInt(p.Value("Installed-Size"), 10, 64)
	yes := func(name string) bool { return strings.EqualFold(p.Value(name), "yes") }
	return &control.Package{
		Name: p.Value("Package"), Version: p.Value("Version"), Architecture: p.Value("Architecture"),
		Source: source, MultiArch: p.Value("Multi-Arch"),
		Essential: yes("Essential"), Protected: yes("Protected") || yes("Important"),
		Priority: p.Value("Priority"), Section: p.Value("Section"), InstalledSize: installed,
		Depends: p.relation("Depends"), PreDepends: p.relation("Pre-Depends"),
		Recommends: p.relation("Recommends"), Suggests: p.relation("Suggests"),
		Conflicts: p.relation("Conflicts"), Breaks: p.relation("Breaks"),
		Replaces: p.relation("Replaces"), Provides: p.relation("Provides"),
		Enhances: p.relation("Enhances"),
	}
}

// relation is a field that may be folded, on one line.
func (p Paragraph) relation(name string) string {
	return strings.Join(strings.Fields(p.Value(name)), " ")
}

// validName follows Debian policy 5.6.1.
func validName(s string) bool {
	if len(s) < 2 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return true
}

// check compares the control paragraph with what was wanted.
func (w Want) check(p Paragraph) error {
	for _, f := range [...]struct{ name, want string }{
		{"Package", w.Package}, {"Version", w.Version}, {"Architecture", w.Architecture},
	} {
		got := p.Value(f.name)
		if got == "" || strings.ContainsAny(got, "\n/ ") {
			return fmt.Errorf("%w: field %s is %q", ErrFormat, f.name, got)
		}
		if f.want != "" && got != f.want {
			return fmt.Errorf("%w: %s is %s, want %s", ErrMismatch, f.name, got, f.want)
		}
	}
	if name := p.Value("Package"); !validName(name) {
		return fmt.Errorf("%w: package name %q", ErrFormat, name)
	}
	return nil
}
