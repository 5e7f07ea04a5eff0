package squashfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// noMount tells why the kernel cannot be asked to read an image.
func noMount() string {
	if os.Geteuid() != 0 {
		return "only root can mount"
	}
	fs, _ := os.ReadFile("/proc/filesystems")
	if !strings.Contains(string(fs), "squashfs") {
		return "the kernel has no squashfs"
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "there are no loop devices"
	}
	return missing("mount")
}

// mount writes a tree and mounts it.
func mount(t *testing.T, w Writer, m *tree.Manifest, c tree.Content) (dir string) {
	t.Helper()
	if why := noMount(); why != "" {
		t.Skip(why)
	}
	dir = t.TempDir()
	name := filepath.Join(dir, "image")
	writeFile(t, name, w, m, c)
	mnt := filepath.Join(dir, "mnt")
	os.Mkdir(mnt, 0o700)
	if err := run("mount", "-t", "squashfs", "-o", "ro,loop", name, mnt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run("umount", mnt); err != nil {
			t.Error(err)
		}
	})
	return mnt
}

func writeFile(t *testing.T, name string, w Writer, m *tree.Manifest, c tree.Content) {
	t.Helper()
	if _, err := image.WriteFile(name, false, func(f io.Writer) error {
		return w.Write(context.Background(), f, m, c, image.Options{})
	}); err != nil {
		t.Fatal(err)
	}
}

// compare scans a folder and compares it with a manifest.
func compare(t *testing.T, dir string, want *tree.Manifest) {
	t.Helper()
	got, err := tree.Scan(context.Background(), dir, tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range tree.Compare(want, got) {
		t.Errorf("%s %s %v", d.Path, d.Change, d.Attrs)
		if i == 9 {
			break
		}
	}
}

func dir(path string) tree.Entry { return tree.Entry{Path: path, Type: tree.Dir, Mode: 0o755} }

// crowd is a folder with many names of all lengths, whose listing needs an
// index, and more hard links to them from elsewhere.
func crowd(names int) (*tree.Manifest, tree.Bytes) {
	c := tree.Bytes{}
	m := &tree.Manifest{Entries: []tree.Entry{dir("."), dir("crowd"), dir("other")}}
	for i := range names {
		b := fmt.Appendf(nil, "content %d", i%1000)
		e := tree.Entry{Path: fmt.Sprintf("crowd/%05d%s", i, strings.Repeat("x", i%250)), Type: tree.File, Mode: 0o644,
			UID: uint32(i % 100), Size: int64(len(b)), Digest: c.Add(b)}
		m.Entries = append(m.Entries, e)
		if i%50 == 0 {
			e.Link, e.Path = e.Path, fmt.Sprintf("other/%05d", i)
			m.Entries = append(m.Entries, e)
		}
		if i%500 == 0 {
			m.Entries = append(m.Entries, dir(fmt.Sprintf("crowd/%05d-dir", i)))
		}
	}
	m.Sort()
	return m, c
}

func TestCrowd(t *testing.T) {
	m, c := crowd(4000)
	compare(t, mount(t, Writer{}, m, c), m)
}

// Attributes that fill several metadata blocks, values of all lengths.
func TestXattrs(t *testing.T) {
	m := &tree.Manifest{Entries: []tree.Entry{dir(".")}}
	for i := range 1500 {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("%05d", i), Type: tree.File, Digest: tree.Empty, Xattrs: map[string]string{
			"user.n":                       fmt.Sprint(i),
			"trusted.same":                 "yes",
			fmt.Sprintf("security.t%d", i): strings.Repeat("v", i),
		}})
	}
	m.Entries = append(m.Entries,
		tree.Entry{Path: "long", Type: tree.Symlink, Mode: 0o777, Target: strings.Repeat("t", maxTarget), Xattrs: map[string]string{"trusted.l": "l"}},
		tree.Entry{Path: "null", Type: tree.Char, Major: 4095, Minor: 1<<20 - 1, Xattrs: map[string]string{"trusted.big": strings.Repeat("B", 60_000)}},
		tree.Entry{Path: "pipe", Type: tree.Fifo, Xattrs: map[string]string{"security.x": ""}},
		tree.Entry{Path: "sock", Type: tree.Socket, Xattrs: map[string]string{"security.x": ""}})
	compare(t, mount(t, Writer{}, m, tree.Bytes{}), m)
}

// A file of 4 GiB and a byte with a little data: the rest takes no room.
func TestHuge(t *testing.T) {
	const size, at = 4<<30 + 1, 3 << 30
	m := &tree.Manifest{Entries: []tree.Entry{dir("."), {Path: "huge", Type: tree.File, Mode: 0o600, Size: size, Digest: tree.Digest{1}},
		{Path: "zero", Type: tree.File, Mode: 0o600, Size: 1 << 30, Digest: tree.Digest{2}}}}
	c := sparse{{1}: {size, at}, {2}: {1 << 30, 1 << 30}}
	mnt := mount(t, Writer{BlockSize: maxBlockSize}, m, c)
	for name, want := range map[string]int64{"huge": size, "zero": 1 << 30, "../image": 4096} {
		st, err := os.Stat(filepath.Join(mnt, name))
		if err != nil || st.Size() != want {
			t.Errorf("%s: got %v, %v; want %d bytes", name, st, err, want)
		}
	}
	f, err := os.Open(filepath.Join(mnt, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, want := range map[int64]string{0: "\x00", at - 1: "\x00data\x00", size - 1: "\x00"} {
		b := make([]byte, len(want))
		if _, err := f.ReadAt(b, off); err != nil || string(b) != want {
			t.Errorf("at %d: got %q, %v; want %q", off, b, err, want)
		}
	}
}

// sparse is contents of zeros with four bytes of data at some place.
type sparse map[tree.Digest][2]int64

func (s sparse) Open(d tree.Digest) (io.ReadCloser, error) {
	size, at := s[d][0], s[d][1]
	r := io.MultiReader(io.LimitReader(zeros{}, at), bytes.NewReader([]byte("data")), io.LimitReader(zeros{}, size))
	return io.NopCloser(io.LimitReader(r, size)), nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// File handles, as an NFS server keeps them, lead back to the files.
func TestHandles(t *testing.T) {
	m, c := crowd(1500)
	mnt := mount(t, Writer{}, m, c)
	root, err := os.Open(mnt)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, e := range m.Entries {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Join(mnt, e.Path), 0)
		if err != nil {
			t.Skip("no file handles here: ", err)
		}
		fd, err := unix.OpenByHandleAt(int(root.Fd()), h, unix.O_RDONLY)
		if err != nil {
			t.Fatalf("%s: %v", e.Path, err)
		}
		var a, b unix.Stat_t
		unix.Fstat(fd, &a)
		unix.Close(fd)
		unix.Lstat(filepath.Join(mnt, e.Path), &b)
		if a.Ino != b.Ino || a.Size != b.Size {
			t.Fatalf("%s: the handle leads to inode %d, the name to %d", e.Path, a.Ino, b.Ino)
		}
	}
}
