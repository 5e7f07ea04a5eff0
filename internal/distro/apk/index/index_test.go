package index_test

import (
	"strings"
	"testing"

	"slipway/internal/distro/apk/index"
)

const entry = `C:Q1AYNx2pLOAHRYZQgv3nM8TNtvRWY=
P:busybox
V:1.36.1-r15
A:x86_64
S:510230
I:946176
T:Toolbox
U:https://busybox.net/
L:GPL-2.0-only
o:busybox
t:1699383189
D:so:libc.musl-x86_64.so.1 !eudev
p:cmd:busybox=1.36.1-r15 /bin/sh
i:openrc x~1.2

`

// What is read is written again as the same lines.
func TestRoundTrip(t *testing.T) {
	list, skipped, err := index.Parse(entry + entry)
	if err != nil || len(list) != 2 || skipped != 0 {
		t.Fatalf("%d, %d, %v", len(list), skipped, err)
	}
	var b strings.Builder
	list[0].Header(&b)
	want := strings.Replace(strings.TrimSuffix(entry, "\n"), "", "", 0)
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestBadEntries(t *testing.T) {
	for name, change := range map[string][2]string{
		"no name": {"P:busybox\n", ""}, "path": {"P:busybox", "P:../busybox"}, "weak identity": {"C:Q1", "C:X1"},
		"short identity": {"C:Q1AYNx", "C:Q1"}, "size": {"S:510230", "S:-1"}, "line": {"T:Toolbox", "Toolbox"},
		"dependency": {"i:openrc", "i:<"}, "huge": {"S:510230", "S:99999999999999999999"},
	} {
		if _, _, err := index.Parse(strings.Replace(entry, change[0], change[1], 1)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if list, skipped, err := index.Parse(entry + strings.Replace(entry, "T:Toolbox", "Z:later", 1)); err != nil || len(list) != 1 || skipped != 1 {
		t.Errorf("an entry of a later format: %d, %d, %v", len(list), skipped, err)
	}
}

func TestDependencies(t *testing.T) {
	for _, c := range []struct {
		word, provided string
		holds          bool
	}{
		{"x", "1", true}, {"x", "", true}, {"!x", "1", false}, {"x=1", "1", true}, {"x=1", "", false}, {"x>1", "2", true}, {"x>1", "1", false},
		{"x>=1", "1", true}, {"x<2", "1-r5", true}, {"x~1.2", "1.2.9-r3", true}, {"x~1.2", "1.3", false}, {"!x<2", "1", false}, {"!x<2", "3", true},
	} {
		d, err := index.ParseDependency(c.word)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Holds(c.provided, "Q1"); got != c.holds {
			t.Errorf("%s by %q: %v", c.word, c.provided, got)
		}
		if d.String() != c.word {
			t.Errorf("%s is written %s", c.word, d.String())
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(entry)
	f.Add("C:Q1AYNx2pLOAHRYZQgv3nM8TNtvRWY=\nP:a\nV:1\n\n\n\nP:b\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, _, err := index.Parse(text)
		if err != nil {
			return
		}
		for _, p := range list {
			if strings.ContainsAny(p.File(), "/\n") {
				t.Fatalf("the file %q", p.File())
			}
			var b strings.Builder
			p.Header(&b)
			again, _, err := index.Parse(b.String())
			if err != nil || len(again) != 1 || again[0].ID() != p.ID() {
				t.Fatalf("%q is written as %q, which reads as %v, %v", text, b.String(), again, err)
			}
		}
	})
}
