package tree

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What an overlay shows is the same whether it is read as a whole or taken
// from the manifest below. The overlay is played by plain folders: root is the
// merged tree, upper holds what was changed.
func TestScanBelow(t *testing.T) {
	lower, root, upper := t.TempDir(), t.TempDir(), t.TempDir()
	make := func(dir string, files map[string]string, links map[string]string) {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for name, old := range links {
			if err := os.Link(filepath.Join(dir, old), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// a, b and c are one file below; a was changed, gone was deleted.
	make(lower, map[string]string{"d/a": "same", "d/gone": "x", "e/deep/f": "f", "e-x": "sorts between e and e/"},
		map[string]string{"d/b": "d/a", "e/c": "d/a"})
	make(root, map[string]string{"d/a": "changed", "d/b": "same", "d/new": "n", "e/deep/f": "f", "e-x": "sorts between e and e/"},
		map[string]string{"e/c": "d/b"})
	make(upper, map[string]string{"d/a": "changed", "d/new": "n"}, nil)
	same := func(path string) { // times, as an overlay has one set of them
		st, err := os.Lstat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(lower, path), st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"d/b", "e/deep/f", "e/deep", "e-x", "e"} {
		same(p)
	}
	below, err := Scan(context.Background(), lower, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Scan(context.Background(), root, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	looked := map[string]bool{}
	got, err := Scan(context.Background(), root, ScanOptions{Upper: upper, Below: below, Parallel: 1,
		Known: func(path string, _ *unix.Stat_t) (Digest, bool) { looked[path] = true; return Digest{}, false }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := Compare(want, got); len(diff) > 0 || got.Digest() != want.Digest() {
		t.Errorf("differences: %v", diff)
	}
	if len(looked) != 2 || !looked["d/a"] || !looked["d/new"] {
		t.Errorf("looked at %v, want d/a and d/new", looked)
	}
}
