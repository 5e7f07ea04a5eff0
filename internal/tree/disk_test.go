package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// asUser is what a tree becomes when no root wrote it: our ids, no devices.
func asUser(m *Manifest) *Manifest {
	out := &Manifest{}
	for _, e := range m.Entries {
		e.UID, e.GID = uint32(os.Geteuid()), uint32(os.Getegid())
		if e.Type != Char && e.Type != Block {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}

func withoutUserXattrs(t *testing.T, dir string, m *Manifest) {
	if err := unix.Setxattr(dir, "user.test", []byte("1"), 0); !errors.Is(err, unix.ENOTSUP) {
		unix.Removexattr(dir, "user.test")
		return
	}
	t.Logf("%s has no user.* attributes; they are not tested", dir)
	for i := range m.Entries {
		m.Entries[i].Xattrs = nil
	}
}

func TestMaterialiseScan(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("without openat2=%v", steps), func(t *testing.T) {
			noOpenat2.Store(steps)
			defer noOpenat2.Store(false)
			dir := t.TempDir()
			m, c := sample()
			withoutUserXattrs(t, dir, m)
			opt, want := MaterialiseOptions{}, m
			if os.Geteuid() == 0 {
				opt.Devices = deviceNodes(t, dir)
				if !opt.Devices {
					m.Entries = append(m.Entries[:3], m.Entries[4:]...)
				}
			} else {
				opt.NoOwners, want = true, asUser(m)
				m.Lookup("zero").Mode, want.Lookup("zero").Mode = 0o400, 0o400
			}
			if err := Materialise(context.Background(), dir, m, c, opt); err != nil {
				t.Fatal(err)
			}
			got, err := Scan(context.Background(), dir, ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-written +scanned)\n%s", d)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// deviceNodes reports whether this root may make device nodes.
func deviceNodes(t *testing.T, dir string) bool {
	name := filepath.Join(dir, "try")
	defer os.Remove(name)
	if err := unix.Mknod(name, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Logf("device nodes are not tested: %v", err)
		return false
	}
	return true
}

// A manifest cannot write through a symbolic link that lies in the folder, nor
// over a file.
func TestMaterialiseEscape(t *testing.T) {
	for _, steps := range []bool{false, true} {
		noOpenat2.Store(steps)
		outside, dir := t.TempDir(), t.TempDir()
		os.Symlink(outside, filepath.Join(dir, "etc"))
		os.Symlink(outside+"/new", filepath.Join(dir, "file"))
		os.WriteFile(filepath.Join(dir, "there"), nil, 0o600)
		c := Bytes{}
		d := c.Add([]byte("x"))
		root := Entry{Path: ".", Type: Dir, Mode: 0o755}
		for name, m := range map[string]*Manifest{
			"below a link":   {Entries: []Entry{root, {Path: "etc/x", Type: File, Size: 1, Digest: d}}},
			"folder on link": {Entries: []Entry{root, {Path: "etc", Type: Dir}}},
			"through a link": {Entries: []Entry{root, {Path: "file", Type: File, Size: 1, Digest: d}}},
			"over a file":    {Entries: []Entry{root, {Path: "there", Type: File, Size: 1, Digest: d}}},
			"no parent":      {Entries: []Entry{root, {Path: "a/b", Type: File, Size: 1, Digest: d}}},
			"dots":           {Entries: []Entry{{Path: "../x", Type: File, Size: 1, Digest: d}}},
		} {
			if err := Materialise(context.Background(), dir, m, c, MaterialiseOptions{NoOwners: true}); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if left, _ := os.ReadDir(outside); len(left) != 0 {
			t.Errorf("written outside: %v", left)
		}
	}
	noOpenat2.Store(false)
}

func TestOpenStepsDots(t *testing.T) {
	dir := t.TempDir()
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	if fd, err := openSteps(root, "../x", unix.O_PATH); err == nil {
		unix.Close(fd)
		t.Error("went out of the root")
	}
}

func TestMaterialiseWrongContent(t *testing.T) {
	m, c := sample()
	m = asUser(m)
	for d := range c {
		c[d] = append(bytes.Clone(c[d])[1:], '!')
	}
	err := Materialise(context.Background(), t.TempDir(), m, c, MaterialiseOptions{NoOwners: true, NoXattrs: true})
	if err == nil || !strings.Contains(err.Error(), "content is wrong") {
		t.Errorf("got error %v", err)
	}
	err = Materialise(context.Background(), t.TempDir(), m, Bytes{}, MaterialiseOptions{NoOwners: true})
	if !errors.Is(err, ErrNoContent) {
		t.Errorf("got error %v, want ErrNoContent", err)
	}
}

func TestScanKnownAndSkip(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600)
	os.WriteFile(filepath.Join(dir, "b"), []byte("b"), 0o600)
	os.MkdirAll(filepath.Join(dir, "proc/1"), 0o700)
	m, err := Scan(context.Background(), dir, ScanOptions{
		Known: func(p string, st *unix.Stat_t) (Digest, bool) { return Digest{1}, p == "a" && st.Size == 1 },
		Skip:  func(p string) bool { return p == "proc" },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Entries) != 3 || m.Lookup("a").Digest != (Digest{1}) || m.Lookup("b").Digest == (Digest{1}) {
		t.Errorf("got %+v", m.Entries)
	}
	if _, err := Scan(context.Background(), filepath.Join(dir, "a"), ScanOptions{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("scanning a file: got error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Scan(ctx, dir, ScanOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
}

// The upper folder of an overlay holds marks that are not part of the tree.
func TestScanUpper(t *testing.T) {
	dir := t.TempDir()
	hidden, plain := filepath.Join(dir, "hidden"), filepath.Join(dir, "plain")
	for _, n := range []string{hidden, plain} {
		os.WriteFile(n, nil, 0o600)
	}
	if err := unix.Setxattr(hidden, "user.overlay.whiteout", []byte("y"), 0); err != nil {
		t.Skip("no user.* attributes here: ", err)
	}
	unix.Setxattr(dir, "user.overlay.opaque", []byte("y"), 0)
	unix.Setxattr(plain, "user.kept", []byte("y"), 0)
	if unix.Mknod(filepath.Join(dir, "gone"), unix.S_IFCHR, 0) != nil {
		t.Log("no whiteout device could be made")
	}
	m, err := Scan(context.Background(), dir, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Entries) != 2 || m.Entries[0].Xattrs != nil || len(m.Lookup("plain").Xattrs) != 1 {
		t.Errorf("got %+v", m.Entries)
	}
}

// Groups are named by path order, whatever order the folder gives.
func TestScanHardLinks(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a"), 0o700)
	os.WriteFile(filepath.Join(dir, "m"), []byte("x"), 0o600)
	for _, n := range []string{"z", "a/first", "b"} {
		if err := os.Link(filepath.Join(dir, "m"), filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Scan(context.Background(), dir, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	for p, want := range map[string]string{"a/first": "", "b": "a/first", "m": "a/first", "z": "a/first"} {
		if got := m.Lookup(p).Link; got != want {
			t.Errorf("link of %s: got %q, want %q", p, got, want)
		}
	}
}

// many is a tree of n small files in folders of 100.
func many(n, size int) (*Manifest, Bytes) {
	c := Bytes{}
	m := &Manifest{Entries: []Entry{{Path: ".", Type: Dir, Mode: 0o755}}}
	for i := range n {
		if i%100 == 0 {
			m.Entries = append(m.Entries, Entry{Path: fmt.Sprintf("d%04d", i/100), Type: Dir, Mode: 0o755})
		}
		b := bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), size/8)
		m.Entries = append(m.Entries, Entry{Path: fmt.Sprintf("d%04d/f%02d", i/100, i%100), Type: File,
			Mode: 0o644, MTime: int64(i), Size: int64(len(b)), Digest: c.Add(b)})
	}
	m.Sort()
	return m, c
}

func BenchmarkMaterialise(b *testing.B) {
	m, c := many(8000, 24<<10)
	b.SetBytes(m.Size())
	base := b.TempDir()
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(base, fmt.Sprint(i))
		os.Mkdir(dir, 0o700)
		if err := Materialise(context.Background(), dir, m, c, MaterialiseOptions{NoOwners: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	m, c := many(8000, 24<<10)
	dir := b.TempDir()
	if err := Materialise(context.Background(), dir, m, c, MaterialiseOptions{NoOwners: true}); err != nil {
		b.Fatal(err)
	}
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			for b.Loop() {
				_, err := Scan(context.Background(), dir, ScanOptions{
					Known: func(string, *unix.Stat_t) (Digest, bool) { return Digest{}, known }})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	m, _ := many(30000, 8)
	enc := encode(b, m)
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(enc)); err != nil {
			b.Fatal(err)
		}
	}
}
