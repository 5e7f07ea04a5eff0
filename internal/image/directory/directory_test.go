package directory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

var ctx = context.Background()

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || !allIDs() {
		t.Skip("a folder with real owners needs root")
	}
	dir := t.TempDir()
	if err := unix.Mknod(dir+"/null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Skip("a folder with devices needs mknod: ", err)
	}
}

func one(content string) (*tree.Manifest, tree.Bytes) {
	c := tree.Bytes{}
	d := c.Add([]byte(content))
	return &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: 5},
		{Path: "f", Type: tree.File, Mode: 0o644, UID: 7, MTime: 9, Size: int64(len(content)), Digest: d}}}, c
}

func TestTrees(t *testing.T) {
	needRoot(t)
	for _, tr := range imagetest.Trees() {
		t.Run(tr.Name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := Write(ctx, out, tr.Manifest, tr.Content, image.Options{}); err != nil {
				t.Fatal(err)
			}
			got, err := tree.Scan(ctx, out, tree.ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tr.Manifest, got); d != "" {
				t.Errorf("(-written +on disk)\n%s", d)
			}
		})
	}
}

func TestReplace(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	out := filepath.Join(base, "out")
	os.Mkdir(out, 0o700) // empty: may be used
	for _, text := range []string{"first", "second"} {
		m, c := one(text)
		if err := Write(ctx, out+"/", m, c, image.Options{Epoch: 6}); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(out + "/f"); string(b) != text {
			t.Errorf("got %q, want %q", b, text)
		}
	}
	if st, _ := os.Stat(out + "/f"); st.ModTime().Unix() != 6 {
		t.Errorf("time: got %v, want it clamped to 6", st.ModTime())
	}
	var names []string
	list, _ := os.ReadDir(base)
	for _, n := range list {
		names = append(names, n.Name())
	}
	if want := []string{"out", "out.slipway.json"}; !cmp.Equal(want, names) {
		t.Errorf("beside it: got %v, want %v", names, want)
	}
	// A failing build leaves the old folder.
	m, _ := one("third")
	if err := Write(ctx, out, m, tree.Bytes{}, image.Options{}); err == nil {
		t.Error("missing content is no error")
	}
	if b, _ := os.ReadFile(out + "/f"); string(b) != "second" {
		t.Errorf("after a failure: got %q", b)
	}
	// Another folder at the same place is not ours, whatever the marker says.
	os.Rename(out, out+".moved")
	os.MkdirAll(out+"/precious", 0o700)
	m, c := one("fourth")
	if err := Write(ctx, out, m, c, image.Options{}); err == nil || !strings.Contains(err.Error(), "did not write it") {
		t.Errorf("a strange folder: got error %v", err)
	}
}

func TestMountPoint(t *testing.T) {
	needRoot(t)
	out := filepath.Join(t.TempDir(), "out")
	os.Mkdir(out, 0o700)
	if err := unix.Mount("tmpfs", out, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount a tmpfs: ", err)
	}
	defer unix.Unmount(out, unix.MNT_DETACH)
	m, c := one("x")
	if err := Write(ctx, out, m, c, image.Options{}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out + "/f"); string(b) != "x" {
		t.Errorf("got %q", b)
	}
	if err := Write(ctx, out, m, c, image.Options{}); err == nil || !strings.Contains(err.Error(), "mount point") {
		t.Errorf("a full mount point: got error %v", err)
	}
}

func TestRefuses(t *testing.T) {
	m, c := one("x")
	if os.Geteuid() != 0 {
		err := Write(ctx, filepath.Join(t.TempDir(), "o"), m, c, image.Options{})
		if err == nil || !strings.Contains(err.Error(), "-o o.tar") {
			t.Errorf("as a user: got error %v", err)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if err := Write(ctx, file, m, c, image.Options{}); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("over a file: got error %v", err)
	}
}
