package mkfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles/blockid"
	"slipway/internal/distro/deb"
	"slipway/internal/e2e/kit"
	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
	"slipway/internal/tree"
)

// This program is what runs in the machines of its own tests.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// liveStore names a store that keeps the tools between runs.
const liveStore = "SLIPWAY_TEST_STORE"

// liveMaker makes volumes in machines, or the test is skipped.
func liveMaker(t *testing.T) *Maker {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the kernel of this test is for amd64")
	}
	dir := os.Getenv(liveStore)
	if dir == "" { // that of the other tests, which has QEMU already
		kit.Tier(t, "boot")
		kit.NeedArchive(t)
		dir = filepath.Join(kit.CacheDir(t), "store")
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	all := tools.Open(t.Context(), tools.Deps{Store: s, Family: deb.New(s)})
	kit.LockQEMU(t)
	accel, err := qemu.Accelerator(t.Context(), all, "amd64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	emulated := *accel // which is the same everywhere
	emulated.Name = "tcg"
	return New(Deps{Tools: all, TempDir: s.TempDir, Accel: &emulated})
}

// merged is one tree of several, each in a folder of its own: a machine takes
// seconds to start.
func merged(trees ...imagetest.Tree) imagetest.Tree {
	out := imagetest.Tree{Name: "merged", Manifest: folders(), Content: tree.Bytes{}}
	for _, tr := range trees {
		for _, e := range tr.Manifest.Entries {
			if e.Path = path.Join(tr.Name, e.Path); e.Link != "" {
				e.Link = path.Join(tr.Name, e.Link)
			}
			out.Manifest.Entries = append(out.Manifest.Entries, e)
		}
		maps.Copy(out.Content, tr.Content)
	}
	out.Manifest.Sort()
	return out
}

// TestLive makes a volume of each kind in an emulated machine. That what was
// read back is the tree is the Maker's own promise; here others judge.
func TestLive(t *testing.T) {
	tr := merged(append(imagetest.Trees(), imagetest.Attributes(), imagetest.Sparse(), imagetest.Compressible())...)
	for _, c := range []struct {
		name, fs string
		opt      image.VolumeOptions
	}{
		{"btrfs", "btrfs", image.VolumeOptions{Label: "system", UUID: [16]byte{0x12, 15: 0x34}, Epoch: 1_600_000_000,
			Subvolumes: []string{"/everything/usr", "/everything/usr/bin", "/srv/www"}}},
		{"xfs", "xfs", image.VolumeOptions{Label: "system", UUID: [16]byte{0x12, 15: 0x34}, Free: 64 << 20}},
		{"xfs with large sectors", "xfs", image.VolumeOptions{Sector: 4096, Size: 400<<20 + 4096}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := liveMaker(t)
			began := time.Now()
			v, err := m.Plan(t.Context(), c.fs, tr.Manifest, tr.Content, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "volume")
			if _, err := image.WriteFile(name, false, func(w io.Writer) error { return v.Write(t.Context(), w) }); err != nil {
				t.Fatal(err)
			}
			t.Logf("made in %v", time.Since(began))
			again, err := m.Plan(t.Context(), c.fs, tr.Manifest, tr.Content, c.opt)
			if began = time.Now(); err != nil || again.Write(t.Context(), io.Discard) != nil || time.Since(began) > 2*time.Second {
				t.Errorf("written again in %v, %v: the machine ran twice", time.Since(began), err)
			}
			t.Run("check", func(t *testing.T) { check(t, c.fs, name) })
			t.Run("identity", func(t *testing.T) { identity(t, name, c.fs, c.opt) })
			t.Run("mount", func(t *testing.T) { mounted(t, name, v.(*volume).request) })
		})
	}
}

// check asks the file system's own program.
func check(t *testing.T, fs, name string) {
	args := map[string][]string{"btrfs": {"btrfs", "check", "--check-data-csum", name}, "xfs": {"xfs_repair", "-n", "-f", name}}[fs]
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("%s is not installed", args[0])
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}

// identity asks the probe that finds a machine's root.
func identity(t *testing.T, name, fs string, opt image.VolumeOptions) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := blockid.Probe(f)
	if err != nil || info.Type != fs || info.Label != opt.Label || opt.UUID != [16]byte{} && info.UUID != uuid(opt.UUID) {
		t.Errorf("it is %+v (%v), want a %s with %+v", info, err, fs, opt)
	}
}

// mounted lets this computer's kernel show what lies in the volume.
func mounted(t *testing.T, name string, r *request) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "ro,loop", "-t", r.fs.name, name, dir).CombinedOutput(); err != nil {
		t.Skipf("this computer does not mount it: %v: %s", err, out)
	}
	defer exec.Command("umount", dir).Run()
	got, err := scan(dir, r.opt.Subvolumes, func(string, *unix.Stat_t) (tree.Digest, bool) { return tree.Digest{}, false })
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(r.tree, got); err != nil {
		t.Error(err)
	}
	for _, s := range r.opt.Subvolumes {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, s), &st); err != nil || st.Ino != 256 {
			t.Errorf("/%s has inode %d (%v): it is no subvolume", s, st.Ino, err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || int64(st.Bavail)*st.Bsize < r.opt.Free {
		t.Errorf("%d bytes are free (%v), want %d", int64(st.Bavail)*st.Bsize, err, r.opt.Free)
	}
}

// A tree that does not fit is said to be too large, at the latest when it is
// written; so is a content that is missing.
func TestLiveErrors(t *testing.T) {
	m := liveMaker(t)
	tr := imagetest.Compressible()
	v, err := m.Plan(t.Context(), "btrfs", tr.Manifest, tree.Bytes{}, image.VolumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Write(t.Context(), io.Discard); !errors.Is(err, tree.ErrNoContent) {
		t.Errorf("a content that is missing: %v", err)
	}
	tight := &request{fs: btrfs, content: tr.Content, size: 128 << 20, tree: folders()}
	big := tree.Entry{Type: tree.File, Mode: 0o644, Size: 1 << 20, Digest: tr.Manifest.Entries[1].Digest}
	for i := range 2000 { // hard to foresee: the metadata of many files
		e := big
		e.Path, e.Size = fmt.Sprintf("f%04d", i), tr.Manifest.Entries[1].Size
		tight.tree.Entries = append(tight.tree.Entries, e)
	}
	if _, err := m.run(t.Context(), tight, nil); err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "write the tree") {
		t.Errorf("a tree that does not fit: %v", err)
	}
	t.Run("no room", func(t *testing.T) { noRoom(t, m, tr) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if _, err := m.run(ctx, tight, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 30*time.Second {
		t.Errorf("cancelled: %v after %v", err, time.Since(began))
	}
}

// noRoom: the host has no room for the volume.
func noRoom(t *testing.T, m *Maker, tr imagetest.Tree) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=80m"); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	deps := m.d
	deps.TempDir = func(prefix string) (string, error) { return os.MkdirTemp(dir, prefix) }
	r := &request{fs: xfs, content: tr.Content, size: 400 << 20, tree: tr.Manifest} // its journal alone has 64 MiB
	r.opt.UUID[0] = 1
	if _, err := New(deps).run(t.Context(), r, nil); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "keeping the volume") {
		t.Errorf("a host without room: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
