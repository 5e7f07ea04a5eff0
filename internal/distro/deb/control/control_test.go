package control

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const twoPackages = `# a comment
Package: libc6
Source: glibc (2.41-12)
Version: 2.41-12+b1
Architecture: amd64
Multi-Arch: same
Depends: libgcc-s1,
 libcrypt1 (>= 1:4.4),
# inside
 base-files | other [amd64] <!nocheck>
Description: GNU C Library
 long text
 .
 more
installed-size: 13000
Size: 99
SHA256: 00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff
Filename: pool/main/g/glibc/libc6.deb
Important: yes
Protected: no


Package: dash
Version: 0.5
Architecture: amd64
Essential: yes`

func readAll(t testing.TB, s string) ([]*Package, error) {
	t.Helper()
	r := NewReader(strings.NewReader(s))
	parser := NewParser()
	var list []*Package
	for {
		par, err := r.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		p := new(Package)
		if err := parser.Parse(par, p); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
}

func TestParse(t *testing.T) {
	got, err := readAll(t, twoPackages)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Package{
		{Name: "libc6", Source: "glibc", Version: "2.41-12+b1", Architecture: "amd64", MultiArch: "same", Protected: true,
			Depends: "libgcc-s1, libcrypt1 (>= 1:4.4), base-files | other [amd64] <!nocheck>", InstalledSize: 13000, Size: 99,
			SHA256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", Filename: "pool/main/g/glibc/libc6.deb"},
		{Name: "dash", Source: "dash", Version: "0.5", Architecture: "amd64", Essential: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParagraph(t *testing.T) {
	r := NewReader(strings.NewReader("\n\r\nA: 1\nb:\n x\n\ty \nC : 3\r\n"))
	par, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if par.Line != 3 || par.Get("B") != "\n x\n\ty" || par.Get("c") != "3" || par.Has("D") || !par.Has("a") {
		t.Errorf("got line %d, %q", par.Line, par.Fields)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"no colon":         "Package\n",
		"no name":          ": x\n",
		"blank in name":    "A b: x\n",
		"continuation":     " x\nA: b\n",
		"long line":        "A: " + strings.Repeat("x", MaxLine) + "\n",
		"long paragraph":   "A: b\n" + strings.Repeat(" "+strings.Repeat("x", 1000)+"\n", MaxParagraph/1000),
		"many fields":      manyFields(),
		"hyphen":           "-A: b\n",
		"clearsigned text": "-----BEGIN PGP SIGNED MESSAGE-----\n",
	} {
		if _, err := NewReader(strings.NewReader(in)).Next(); err == nil || err == io.EOF {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	if par, err := NewReader(strings.NewReader("A: " + strings.Repeat("x", 300_000))).Next(); err != nil || len(par.Get("A")) != 300_000 {
		t.Errorf("a long line within the limit: %v", err)
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range MaxFields + 1 {
		fmt.Fprintf(&b, "F%d: x\n", i)
	}
	return b.String()
}

func TestParseRefuses(t *testing.T) {
	base := "Package: a\nVersion: 1\nArchitecture: all\n"
	for name, in := range map[string]string{
		"no package":      "Version: 1\nArchitecture: all\n",
		"no version":      "Package: a\nArchitecture: all\n",
		"no architecture": "Package: a\nVersion: 1\n",
		"path as name":    "Package: ../a\nVersion: 1\nArchitecture: all\n",
		"path as arch":    "Package: a\nVersion: 1\nArchitecture: a/b\n",
		"size":            base + "Size: -1\n",
		"digest":          base + "SHA256: 00\n",
	} {
		if _, err := readAll(t, in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseRelations(t *testing.T) {
	alt := func(name, op, version string) Alternative { return Alternative{Name: name, Op: op, Version: version} }
	one := func(a ...Alternative) Relation { return Relation{Alternatives: a} }
	cases := map[string][]Relation{
		"":                         nil,
		" , ,":                     {},
		"a":                        {one(alt("a", "", ""))},
		"a, b":                     {one(alt("a", "", "")), one(alt("b", "", ""))},
		"a|b (>= 1) | c,":          {one(alt("a", "", ""), alt("b", ">=", "1"), alt("c", "", ""))},
		"a(<<2)":                   {one(alt("a", "<<", "2"))},
		"a ( = 1:2-3 )":            {one(alt("a", "=", "1:2-3"))},
		"a (< 1), b (> 2)":         {one(alt("a", "<=", "1")), one(alt("b", ">=", "2"))},
		"a (1)":                    {one(alt("a", "=", "1"))},
		"python3:any (>= 3.11~)":   {one(Alternative{"python3", "any", ">=", "3.11~"})},
		"a [amd64 !i386] <!x> <y>": {one(alt("a", "", ""))},
		"a (>= 1) [linux-any]":     {one(alt("a", ">=", "1"))},
		"a\n (>= 1)":               {one(alt("a", ">=", "1"))},
		"g++-12:i386":              {one(Alternative{"g++-12", "i386", "", ""})},
	}
	for in, want := range cases {
		got, err := ParseRelations(in)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", in, err, diff)
		}
	}
	for _, in := range []string{"a b", "|", "a |", "a (>= )", "a (>= 1", "a (=> 1)", "a (<> 1)", "a [amd64", "a <x", "é", "a:", "a:b:c", "(>= 1)", "a (>= 1 2)", "-a", "$x"} {
		if got, err := ParseRelations(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
	if _, err := ParseRelations(strings.Repeat(",", MaxRelations)); err == nil {
		t.Error("a bomb of commas: no error")
	}
}

// FuzzReader wants bounded work and fields that survive being written and
// read again.
func FuzzReader(f *testing.F) {
	f.Add(twoPackages)
	f.Add("A: b\n c\n\n#x\nD:\n")
	f.Fuzz(func(t *testing.T, in string) {
		r := NewReader(strings.NewReader(in))
		for {
			par, err := r.Next()
			if err != nil {
				return
			}
			var out strings.Builder
			for _, field := range par.Fields {
				fmt.Fprintf(&out, "%s: %s\n", field.Name, field.Value)
			}
			again, err := NewReader(strings.NewReader(out.String())).Next()
			if err != nil {
				t.Fatalf("written again as %q: %v", out.String(), err)
			}
			if diff := cmp.Diff(fmt.Sprintf("%q", par.Fields), fmt.Sprintf("%q", again.Fields)); diff != "" {
				t.Fatalf("of %q: %s", out.String(), diff)
			}
			_, _ = ParsePackage(par)
		}
	})
}

// FuzzParseRelations wants that what was parsed is written and parsed to the
// same.
func FuzzParseRelations(f *testing.F) {
	f.Add("a:any (>= 1:2~) [amd64 i386] <!x> | b, c (<< 3)")
	f.Fuzz(func(t *testing.T, in string) {
		relations, err := ParseRelations(in)
		if err != nil {
			return
		}
		for _, r := range relations {
			again, err := ParseRelations(r.String())
			if diff := cmp.Diff([]Relation{r}, again); err != nil || diff != "" {
				t.Fatalf("%q: %v %s", r, err, diff)
			}
		}
	})
}
