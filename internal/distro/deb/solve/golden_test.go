package solve_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve"
)

var update = flag.Bool("update", false, "rewrite the expected part of the golden cases")

// TestGolden runs every case of testdata: the files "packages", further
// "packages SUITE PRIORITY" and "installed" are control data, "request" has
// one word per line (or "recommends", "base SET", "pin PACKAGES|PIN|PRIORITY",
// "why NAME"), "expect" is what has to come out.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p, whys := readCase(t, archive)
			have := outcome(p, whys)
			for i, f := range archive.Files {
				if f.Name != "expect" {
					continue
				}
				if *update {
					archive.Files[i].Data = []byte(have)
				} else if want := string(f.Data); have != want {
					t.Errorf("have:\n%s\nwant:\n%s", have, want)
				}
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func readCase(t *testing.T, archive *txtar.Archive) (solve.Problem, []string) {
	p := solve.Problem{Native: "amd64", Foreign: []string{"i386"}}
	var whys []string
	for _, f := range archive.Files {
		word, rest, _ := strings.Cut(f.Name, " ")
		switch word {
		case "packages":
			o := &control.Origin{Suite: "stable", Archive: "stable", Codename: "stable", Base: "http://ftp.debian.org/debian", Priority: 500}
			if suite, priority, ok := strings.Cut(rest, " "); ok {
				o.Suite, o.Archive, o.Codename = suite, suite, suite
				o.Priority, _ = strconv.Atoi(priority)
			}
			p.Packages = append(p.Packages, parseStanzas(t, string(f.Data), o)...)
		case "installed":
			p.Installed = parseStanzas(t, string(f.Data), nil)
		case "request":
			for _, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
				whys = append(whys, readRequest(&p, line)...)
			}
		}
	}
	return p, whys
}

func readRequest(p *solve.Problem, line string) (whys []string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "recommends":
		p.Recommends = true
	case "base":
		p.BaseSet = rest
	case "why":
		return []string{rest}
	case "pin":
		f := strings.Split(rest, "|")
		priority, _ := strconv.Atoi(f[2])
		p.Pins = append(p.Pins, solve.Pin{Package: f[0], Pin: f[1], Priority: priority})
	default:
		p.Want = append(p.Want, solve.Want{Spec: line})
	}
	return nil
}

// parseStanzas reads control data in which all but Package may be left out.
func parseStanzas(t *testing.T, text string, o *control.Origin) []*control.Package {
	var list []*control.Package
	for _, stanza := range strings.Split(strings.TrimSpace(text), "\n\n") {
		for _, field := range []string{"Version: 1", "Architecture: amd64"} {
			if key, _, _ := strings.Cut(field, " "); !strings.Contains("\n"+stanza, "\n"+key) {
				stanza += "\n" + field
			}
		}
		par, err := control.NewReader(strings.NewReader(stanza + "\n\n")).Next()
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		c, err := control.ParsePackage(par)
		if err != nil {
			t.Fatal(err)
		}
		c.Origin = o
		list = append(list, c)
	}
	return list
}

// outcome renders a solution, its plan and the questions why.
func outcome(p solve.Problem, whys []string) string {
	sol, err := solve.Solve(p)
	if err != nil {
		return fmt.Sprintf("error %T: %v\n", err, err)
	}
	var b strings.Builder
	for _, c := range sol.Base {
		fmt.Fprintf(&b, "base %s=%s\n", c.Name, c.Version)
	}
	for _, c := range sol.Rest {
		kind := "install"
		if sol.Auto[c.ID()] {
			kind = "needed"
		}
		fmt.Fprintf(&b, "%s %s:%s=%s\n", kind, c.Name, c.Architecture, c.Version)
	}
	for _, c := range sol.Removed {
		fmt.Fprintf(&b, "goes %s\n", c.Name)
	}
	steps, err := sol.Plan()
	if err != nil {
		fmt.Fprintf(&b, "order: %v\n", err)
	}
	for _, s := range steps {
		b.WriteString(string(s.Op))
		for _, c := range s.Packages {
			b.WriteString(" " + c.Name)
		}
		b.WriteByte('\n')
	}
	sort.Strings(whys)
	for _, name := range whys {
		asked, chain, ok := sol.Why(name)
		fmt.Fprintf(&b, "why %s: %v, asked for as %q: %s\n", name, ok, asked, chain)
	}
	return b.String()
}
