package build

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// A script may rewrite a file to the same length, and its time is clamped to
// the date that the parent's file was clamped to.
func TestKnownFileChangedInPlace(t *testing.T) {
	date := time.Unix(1700000000, 0)
	dir, upper := t.TempDir(), t.TempDir()
	for _, name := range []string{"same", "changed"} {
		put(t, filepath.Join(dir, name), "root:x", date)
	}
	put(t, filepath.Join(upper, "changed"), "root:x", date)
	old := tree.Digest(sha256.Sum256([]byte("root:*")))
	k := newKnownFiles()
	k.inherit(&tree.Manifest{Entries: []tree.Entry{
		{Path: "changed", Type: tree.File, Size: 6, MTime: date.Unix(), Digest: old},
		{Path: "same", Type: tree.File, Size: 6, MTime: date.Unix(), Digest: old},
	}}, upper)
	for name, want := range map[string]bool{"same": true, "changed": false} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if _, got := k.find(name, &st); got != want {
			t.Errorf("%s: known %v, want %v", name, got, want)
		}
	}
}

// A script may change a package's file and set its time back.
func TestKnownFileOfPackageChanged(t *testing.T) {
	date := time.Unix(1600000000, 0)
	dir := t.TempDir()
	k := newKnownFiles()
	for _, name := range []string{"same", "changed"} {
		put(t, filepath.Join(dir, name), "root:x", date)
		k.byPath[name] = knownFile{size: 6, sec: date.Unix(), digest: tree.Digest(sha256.Sum256([]byte("root:x"))), before: len(k.programs)}
	}
	find := func(name string) bool {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		_, ok := k.find(name, &st)
		return ok
	}
	if !find("same") || !find("changed") {
		t.Error("what was just written is not known")
	}
	time.Sleep(50 * time.Millisecond) // the clock of files is coarse
	k.program()
	put(t, filepath.Join(dir, "changed"), "root:*", date)
	if !find("same") {
		t.Error("a file that no program touched is not known")
	}
	if find("changed") {
		t.Error("a file that a program changed is taken for the package's")
	}
}

func put(t *testing.T, path, content string, mtime time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}
