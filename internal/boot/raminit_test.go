package boot

import (
	"testing"

	"slipway/internal/machine"
	"slipway/internal/tree"
)

func TestOnlyTheInitProgramAndItsFiles(t *testing.T) {
	m := &tree.Manifest{}
	for _, p := range []string{".", "bin", "etc", "etc/app", "etc/app/conf", "etc/passwd", "srv", "srv/www", "srv/www/a", "usr"} {
		m.Entries = append(m.Entries, tree.Entry{Path: p, Type: tree.Dir, Mode: 0o755})
	}
	m.Entries = append(m.Entries, tree.Entry{Path: "usr/server", Type: tree.File}, tree.Entry{Path: "usr/other", Type: tree.File})
	m.Sort()
	content := "x"
	a := &assembly{Request: Request{Manifest: m, Definition: &machine.Definition{Init: "/usr/server", Files: []machine.File{
		{Path: "/etc/app/conf", Content: &content}, {Path: "/srv/www/", From: &machine.From{File: "/x"}},
	}}}}
	var got []string
	for _, e := range a.only("usr/server").Entries {
		got = append(got, e.Path)
	}
	want := []string{".", "etc", "etc/app", "etc/app/conf", "srv", "srv/www", "srv/www/a", "usr", "usr/server"}
	if len(got) != len(want) {
		t.Fatalf("kept %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("kept %q, want %q", got, want)
		}
	}
}
