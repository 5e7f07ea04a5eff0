package vfat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// esp is a tree as boot loaders want it, with awkward names.
func esp() (*tree.Manifest, tree.Bytes) {
	m, c := &tree.Manifest{}, tree.Bytes{}
	dir := func(p string) {
		m.Entries = append(m.Entries, tree.Entry{Path: p, Type: tree.Dir, Mode: 0o755, MTime: 1_700_000_000})
	}
	file := func(p, content string) {
		m.Entries = append(m.Entries, tree.Entry{Path: p, Type: tree.File, Mode: 0o644, MTime: 1_700_000_001,
			Size: int64(len(content)), Digest: c.Add([]byte(content))})
	}
	for _, d := range []string{".", "EFI", "EFI/BOOT", "EFI/Linux", "loader", "loader/entries", "many", "empty"} {
		dir(d)
	}
	r := rand.New(rand.NewPCG(1, 2))
	kernel := make([]byte, 2_000_017)
	for i := range kernel {
		kernel[i] = byte(r.Uint32())
	}
	file("EFI/BOOT/BOOTX64.EFI", "MZ boot")
	file("EFI/Linux/linux-6.12.48+deb13-amd64.efi", string(kernel))
	file("loader/loader.conf", "timeout 0\n")
	file("loader/entries/größe.conf", "title x\n")
	file("zero", "")
	file(".hidden", "h")
	file("a.b.c", "abc")
	file("longna~1", "takes an alias's name")
	file("longname one", "1")
	file("longname two", "2")
	file(strings.Repeat("n", 255), "long")
	for i := range 40 {
		file(fmt.Sprintf("many/file with number %03d.text", i), fmt.Sprint(i))
	}
	m.Sort()
	return m, c
}

type sparse struct{ *os.File }

// Hole implements image.Holer.
func (f sparse) Hole(n int64) error {
	_, err := f.Seek(n, io.SeekCurrent)
	return err
}

func render(t *testing.T, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (*Volume, *os.File) {
	t.Helper()
	v, err := Plan(context.Background(), m, c, opt)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "fat"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := v.Write(context.Background(), sparse{f}); err != nil {
		t.Fatal(err)
	}
	if at, _ := f.Seek(0, io.SeekCurrent); at != v.Size() {
		t.Fatalf("wrote %d bytes, Size says %d", at, v.Size())
	}
	if err := f.Truncate(v.Size()); err != nil {
		t.Fatal(err)
	}
	return v.(*Volume), f
}

var uuid = [16]byte{0xde, 0xad, 0xbe, 0xef, 5: 1}

var volumes = []struct {
	size   int64
	sector int
	bits   int
}{
	{0, 512, 12}, {0, 4096, 12}, {8 << 20, 4096, 12}, {8 << 20, 512, 16}, {33 << 20, 512, 32},
	{33 << 20, 4096, 16}, {128 << 20, 512, 32}, {5_000_192, 512, 16},
}

func TestKinds(t *testing.T) {
	m, c := esp()
	for _, tt := range volumes {
		t.Run(fmt.Sprint(tt.size, "/", tt.sector), func(t *testing.T) {
			v, out := render(t, m, c, image.VolumeOptions{Size: tt.size, Sector: tt.sector, UUID: uuid, Label: "esp"})
			if v.Bits() != tt.bits || tt.size != 0 && v.Size() != tt.size {
				t.Errorf("FAT%d of %d bytes, want FAT%d", v.Bits(), v.Size(), tt.bits)
			}
			f, err := Open(out, v.Size())
			if err != nil {
				t.Fatal(err)
			}
			if f.Label != "ESP" || f.ID != "DEAD-BEEF" || f.ID != ID(uuid) || f.geo.bits != tt.bits {
				t.Errorf("label %q, id %q, FAT%d", f.Label, f.ID, f.geo.bits)
			}
			compare(t, f, m, c)
			fsck(t, out.Name())
			mtools(t, out.Name(), m, c)
		})
	}
}

func TestLargeSectors(t *testing.T) {
	for size, bits := range map[int64]int{128 << 20: 16, 300 << 20: 32} {
		if g, err := newGeometry(size, 4096, 0); err != nil || g.bits != bits {
			t.Errorf("%d bytes are FAT%d, want FAT%d (%v)", size, g.bits, bits, err)
		}
	}
}

func compare(t *testing.T, f *FS, m *tree.Manifest, c tree.Bytes) {
	t.Helper()
	var names []string
	for _, e := range m.Entries {
		st, err := fs.Stat(f, e.Path)
		if err != nil {
			t.Fatal(err)
		}
		if st.IsDir() != (e.Type == tree.Dir) || e.Path != "." && st.ModTime().Unix() != e.MTime&^1 {
			t.Errorf("%q: %v, want %+v", e.Path, st, e)
		}
		if e.Type == tree.File {
			if b, err := fs.ReadFile(f, e.Path); err != nil || !bytes.Equal(b, c[e.Digest]) {
				t.Errorf("%q: another content, %v", e.Path, err)
			}
			names = append(names, e.Path)
		}
	}
	if err := fstest.TestFS(f, names...); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat("efi/boot/BootX64.efi"); err != nil {
		t.Error("another case is not found:", err)
	}
}

func fsck(t *testing.T, name string) {
	t.Helper()
	path, err := exec.LookPath("fsck.vfat")
	if err != nil { // users have it not in their path
		path = "/usr/sbin/fsck.vfat"
		if _, err := os.Stat(path); err != nil {
			t.Skip("fsck.vfat (dosfstools) is not installed")
		}
	}
	if out, err := exec.Command(path, "-n", "-v", name).CombinedOutput(); err != nil {
		t.Errorf("fsck.vfat: %v\n%s", err, out)
	}
}

func mtools(t *testing.T, name string, m *tree.Manifest, c tree.Bytes) {
	t.Helper()
	if _, err := exec.LookPath("mcopy"); err != nil {
		t.Skip("mcopy (mtools) is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("mcopy", "-s", "-Q", "-m", "-n", "-i", name, "::", dir)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mcopy: %v\n%s", err, out)
	}
	for _, e := range m.Entries {
		p := filepath.Join(dir, e.Path)
		st, err := os.Lstat(p)
		if err != nil {
			t.Errorf("mcopy: %v", err)
			continue
		}
		if e.Type != tree.File {
			continue
		}
		if b, _ := os.ReadFile(p); !bytes.Equal(b, c[e.Digest]) || st.ModTime().Unix() != e.MTime&^1 {
			t.Errorf("mcopy: %q is another file, time %d, want %d", e.Path, st.ModTime().Unix(), e.MTime&^1)
		}
	}
}

func TestErrors(t *testing.T) {
	c := tree.Bytes{}
	x := c.Add([]byte("x"))
	file := func(p string) tree.Entry { return tree.Entry{Path: p, Type: tree.File, Size: 1, Digest: x} }
	many := []tree.Entry{{Path: "d", Type: tree.Dir}}
	for i := range 40000 {
		many = append(many, file(fmt.Sprintf("d/%05d-long-name", i)))
	}
	for _, tt := range []struct {
		name    string
		entries []tree.Entry
		opt     image.VolumeOptions
		want    []string
	}{
		{"link", []tree.Entry{{Path: "a", Type: tree.Symlink, Target: "b"}}, image.VolumeOptions{}, []string{`"a"`, "symbolic links", "b"}},
		{"device", []tree.Entry{{Path: "null", Type: tree.Char, Major: 1, Minor: 3}}, image.VolumeOptions{}, []string{`"null"`}},
		{"colon", []tree.Entry{file("a:b")}, image.VolumeOptions{}, []string{`"a:b"`, "':'", "rename"}},
		{"dot", []tree.Entry{file("a.")}, image.VolumeOptions{}, []string{`"a."`}},
		{"utf-8", []tree.Entry{file("\xff")}, image.VolumeOptions{}, []string{"UTF-8"}},
		{"long", []tree.Entry{file(strings.Repeat("n", 256))}, image.VolumeOptions{}, []string{"255"}},
		{"case", []tree.Entry{file("Größe"), file("GRÖßE")}, image.VolumeOptions{}, []string{"Größe", "GRÖßE", "case"}},
		{"large", []tree.Entry{{Path: "big", Type: tree.File, Size: 1 << 32, Digest: x}}, image.VolumeOptions{}, []string{`"big"`, "4 GiB - 1"}},
		{"orphan", []tree.Entry{file("d/x")}, image.VolumeOptions{}, []string{`"d/x"`, "folder"}},
		{"full", []tree.Entry{{Path: "big", Type: tree.File, Size: 9 << 20, Digest: x}}, image.VolumeOptions{Size: 8 << 20}, []string{"9437184", "8388608", "larger"}},
		{"tiny", nil, image.VolumeOptions{Size: 4096}, []string{"too few"}},
		{"huge", nil, image.VolumeOptions{Size: 3 << 40}, []string{"4294967295"}},
		{"sector", nil, image.VolumeOptions{Sector: 1000}, []string{"512 or 4096"}},
		{"label", nil, image.VolumeOptions{Label: "twelve chars"}, []string{"11"}},
		{"label character", nil, image.VolumeOptions{Label: "a.b"}, []string{"'.'"}},
		{"many", many, image.VolumeOptions{}, []string{`"d"`, "2097152"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &tree.Manifest{Entries: tt.entries}
			m.Sort()
			_, err := Plan(context.Background(), m, c, tt.opt)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

func TestContent(t *testing.T) {
	m, c := esp()
	for _, e := range m.Entries {
		if e.Path == "a.b.c" {
			c[e.Digest] = []byte("ab")
		}
	}
	v, err := Plan(context.Background(), m, c, image.VolumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Write(context.Background(), io.Discard); err == nil || !strings.Contains(err.Error(), "a.b.c") {
		t.Error("short content:", err)
	}
	v, _ = Plan(context.Background(), m, tree.Bytes{}, image.VolumeOptions{})
	if err := v.Write(context.Background(), io.Discard); !errors.Is(err, tree.ErrNoContent) {
		t.Error("no content:", err)
	}
}

// TestAllSizes looks for sizes at which a table is too small for its clusters.
func TestAllSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		sector := 512 << (3 * (r.IntN(2)))
		size := r.Int64N(1<<(17+r.IntN(24))) + 64<<10
		g, err := newGeometry(size, sector, 0)
		if err != nil {
			if size > 128<<10 {
				t.Fatalf("%d: %v", size, err)
			}
			continue
		}
		room := int64(g.perFAT) * int64(g.sector) * 8 / int64(g.bits)
		if room < int64(g.clusters)+2 || int64(g.dataStart())+int64(g.clusters)*int64(g.cluster) > int64(g.sectors) ||
			int64(g.dataStart())*int64(sector)%4096 != 0 || g.cluster > 128 {
			t.Fatalf("%d bytes in sectors of %d: %+v", size, sector, g)
		}
	}
}

func TestFull(t *testing.T) {
	c := tree.Bytes{}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: "x", Type: tree.File}}}
	g, _ := newGeometry(4<<20, 512, 1)
	data := make([]byte, int64(g.clusters)*g.clusterSize())
	m.Entries[0].Size, m.Entries[0].Digest = int64(len(data)), c.Add(data)
	_, out := render(t, m, c, image.VolumeOptions{Size: 4 << 20})
	f, err := Open(out, 4<<20)
	if err != nil || f.Free != 0 {
		t.Fatalf("%d free, %v", f.Free, err)
	}
	fsck(t, out.Name())
}
