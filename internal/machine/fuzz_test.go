package machine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad: loading never panics, the schema and the loader agree about
// structure, and what loads is written out and loads again to the same bytes.
func FuzzLoad(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.files[0].Data)
	}
	f.Add([]byte("a: &a [1,2]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n"))
	f.Add(bytes.Repeat([]byte("["), 100))
	f.Add(bytes.Repeat([]byte("- "), 100))
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("include")) || len(data) > 1<<16 {
			t.Skip("reads other files, or is slow to fuzz")
		}
		path := filepath.Join(t.TempDir(), "main.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Load(path, Options{HostArch: "amd64"})
		if (d == nil) != (err != nil) {
			t.Fatalf("got definition %v and error %v", d, err)
		}
		c := newCollector()
		if root := parse(c, path, data); root != nil && len(c.problems) == 0 {
			structural := false
			if err != nil {
				for _, p := range err.(Problems) {
					structural = structural || p.structural
				}
			}
			if refused := schema.Validate(jsonValue(root)); (refused != nil) != structural {
				t.Fatalf("schema says: %v\nloader says: %v", refused, err)
			}
		}
		if err == nil {
			reload(t, d)
		}
	})
}

// reload writes a definition out and loads that.
func reload(t *testing.T, d *Definition) {
	t.Helper()
	text, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "effective.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path, Options{HostArch: "amd64"})
	if err != nil {
		t.Fatalf("loading what was written: %v\n%s", err, text)
	}
	d.relative = nil // in the second, all paths are absolute
	want, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Fatalf("written:\n%s\nbefore %s\nafter  %s", text, want, got)
	}
}

// FuzzBoard: a board's file is a definition below another's. Loading never
// panics, a refusal names one of the two files, and what loads is written out
// and loads again to the same bytes.
func FuzzBoard(f *testing.F) {
	for _, name := range Boards() {
		data, _ := BoardFile(name)
		f.Add(data)
	}
	f.Add([]byte("board: ./board.yaml\n"))
	f.Add([]byte("board: rpi4\ndisk: {blobs: [{from: ./x, offset: 512B}]}\n"))
	f.Add([]byte("disk: {blobs: [{from: ./x, skip: 99999999999G, offset: 0B}, {from: ./x, offset: 1B}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("include")) || len(data) > 1<<16 {
			t.Skip("reads other files, or is slow to fuzz")
		}
		dir := t.TempDir()
		path, board := filepath.Join(dir, "main.yaml"), filepath.Join(dir, "board.yaml")
		if err := os.WriteFile(board, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("slipway: v1\nname: x\nsystem: debian/trixie\nboard: ./board.yaml\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Load(path, Options{HostArch: "amd64"})
		if (d == nil) != (err != nil) {
			t.Fatalf("got definition %v and error %v", d, err)
		}
		if err != nil {
			if text := err.Error(); !strings.Contains(text, "main.yaml") && !strings.Contains(text, "board") {
				t.Fatalf("the error names no file: %s", text)
			}
			return
		}
		reload(t, d)
	})
}
