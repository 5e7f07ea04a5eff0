package mkfs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

const mega = 1 << 20

// planned lays out a volume without anything that could make it.
func planned(fs string, m *tree.Manifest, opt image.VolumeOptions) (*volume, error) {
	v, err := New(Deps{}).Plan(context.Background(), fs, m, tree.Bytes{}, opt)
	if err != nil {
		return nil, err
	}
	return v.(*volume), nil
}

func folders(names ...string) *tree.Manifest {
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for _, n := range names {
		m.Entries = append(m.Entries, tree.Entry{Path: n, Type: tree.Dir, Mode: 0o755})
	}
	m.Sort()
	return m
}

func TestSizes(t *testing.T) {
	big := folders()
	for _, name := range []string{"a", "b"} {
		big.Entries = append(big.Entries, tree.Entry{Path: name, Type: tree.File, Size: 400 * mega, Digest: tree.Digest{name[0]}})
	}
	for _, c := range []struct {
		fs        string
		tree      *tree.Manifest
		opt       image.VolumeOptions
		from, to  int64 // MiB
		complaint string
	}{
		{"btrfs", folders(), image.VolumeOptions{}, 128, 160, ""},
		{"xfs", folders(), image.VolumeOptions{}, 300, 320, ""},
		{"btrfs", folders(), image.VolumeOptions{Free: 1000 * mega}, 1128, 1250, ""},
		{"btrfs", big, image.VolumeOptions{}, 930, 1100, ""},
		{"xfs", big, image.VolumeOptions{}, 930, 1100, ""},
		{"xfs", big, image.VolumeOptions{Size: 2000 * mega}, 2000, 2000, ""},
		{"btrfs", big, image.VolumeOptions{Size: 700 * mega}, 0, 0, "btrfs has 700M, and needs 801M"},
		{"xfs", folders(), image.VolumeOptions{Size: 4096}, 0, 0, "xfs has 0M, and needs 300M"},
	} {
		v, err := planned(c.fs, c.tree, c.opt)
		if c.complaint != "" {
			if err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("%s %+v: got error %v, want %q", c.fs, c.opt, err, c.complaint)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %+v: %v", c.fs, c.opt, err)
		} else if n := v.Size(); n < c.from*mega || n > c.to*mega || n%mega != 0 {
			t.Errorf("%s %+v: %d bytes, want %d to %d MiB", c.fs, c.opt, n, c.from, c.to)
		}
	}
}

func TestCommands(t *testing.T) {
	id := [16]byte{0x05, 0xe3, 0xfd, 0x1f, 0xb7, 0x78, 0x4d, 0x9f, 0x95, 0x15, 0xe2, 0x71, 0xae, 0x76, 0x0a, 0x97}
	for _, c := range []struct {
		fs   string
		opt  image.VolumeOptions
		want string
	}{
		{"btrfs", image.VolumeOptions{UUID: id, Label: "system"}, "--uuid 05e3fd1f-b778-4d9f-9515-e271ae760a97 --label system"},
		{"xfs", image.VolumeOptions{UUID: id, Label: "system", Sector: 4096}, "uuid=05e3fd1f-b778-4d9f-9515-e271ae760a97 -i sparse=1,nrext64=0,exchange=0 -n parent=0 -s size=4096 -L system"},
		{"xfs", image.VolumeOptions{UUID: id}, "exchange=0 -n parent=0"},
	} {
		v, err := planned(c.fs, folders(), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(v.request.fs.command(v.request.opt), " "); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s; want it to end in %s", c.fs, got, c.want)
		}
	}
	// Linux mounts no xfs whose identifier is all zeros.
	v, err := planned("xfs", folders(), image.VolumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v.request.opt.UUID == [16]byte{} {
		t.Error("a volume without an identifier gets none")
	}
}

func TestRefusals(t *testing.T) {
	link := folders("home")
	link.Entries = append(link.Entries, tree.Entry{Path: "a", Type: tree.File, Digest: tree.Empty},
		tree.Entry{Path: "home/a", Type: tree.File, Digest: tree.Empty, Link: "a"}, tree.Entry{Path: "link", Type: tree.Symlink, Target: "home"})
	link.Sort()
	for _, c := range []struct {
		fs   string
		opt  image.VolumeOptions
		want string
	}{
		{"zfs", image.VolumeOptions{}, `no file system is called "zfs"; a virtual machine makes btrfs and xfs`},
		{"xfs", image.VolumeOptions{Label: "thirteenbytes"}, "room for 12 bytes"},
		{"xfs", image.VolumeOptions{Subvolumes: []string{"/home"}}, "xfs has no subvolumes"},
		{"btrfs", image.VolumeOptions{Subvolumes: []string{"/"}}, "the root of a btrfs is one in any case"},
		{"btrfs", image.VolumeOptions{Subvolumes: []string{"/link"}}, "subvolume /link: it is no folder"},
		{"btrfs", image.VolumeOptions{Subvolumes: []string{"/home"}}, "/a and /home/a are one file with two names"},
		{"btrfs", image.VolumeOptions{Sector: 520}, "sectors of 520 bytes"},
	} {
		if _, err := planned(c.fs, link, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: got error %v, want %q", c.fs, c.opt, err, c.want)
		}
	}
	if _, err := planned("btrfs", &tree.Manifest{Entries: []tree.Entry{{Path: "../x", Type: tree.Dir}}}, image.VolumeOptions{}); err == nil {
		t.Error("an invalid manifest is no error")
	}
}

// Folders that are to be subvolumes and are not there are made, with those
// above them; the caller's manifest stays as it was.
func TestSubvolumesAreAdded(t *testing.T) {
	m := folders("home")
	v, err := planned("btrfs", m, image.VolumeOptions{Epoch: 77, Subvolumes: []string{"/srv/www", "/home/", "/home"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range v.request.tree.Entries {
		names = append(names, e.Path)
	}
	if want := []string{".", "home", "srv", "srv/www"}; !slices.Equal(names, want) {
		t.Errorf("the tree has %q, want %q", names, want)
	}
	if got := v.request.tree.Lookup("srv/www"); got.MTime != 77 || got.Mode != 0o755 {
		t.Errorf("what was added is %+v", got)
	}
	if want := []string{"home", "srv/www"}; !slices.Equal(v.request.opt.Subvolumes, want) {
		t.Errorf("the subvolumes are %q, want %q", v.request.opt.Subvolumes, want)
	}
	if len(m.Entries) != 2 {
		t.Error("the caller's manifest was changed")
	}
}

// The same is planned once.
func TestPlanRemembers(t *testing.T) {
	m := New(Deps{})
	plan := func(opt image.VolumeOptions, names ...string) image.Volume {
		v, err := m.Plan(t.Context(), "btrfs", folders(names...), nil, opt)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := plan(image.VolumeOptions{Label: "a"}, "x")
	if plan(image.VolumeOptions{Label: "a"}, "x") != first {
		t.Error("the same gives another volume")
	}
	for _, other := range []image.Volume{plan(image.VolumeOptions{Label: "b"}, "x"), plan(image.VolumeOptions{Label: "a"}, "y"),
		plan(image.VolumeOptions{Label: "a", Free: 100 * mega}, "x"), plan(image.VolumeOptions{Label: "a", Subvolumes: []string{"x"}}, "x"),
		plan(image.VolumeOptions{Label: "a", Sector: 4096}, "x")} {
		if other == first {
			t.Error("something else gives the same volume")
		}
	}
	if len(m.known) != remembered {
		t.Errorf("%d volumes are remembered, want %d", len(m.known), remembered)
	}
}

func TestHear(t *testing.T) {
	var b bytes.Buffer
	say(&b, sayStage, []byte("one"))
	say(&b, sayTree, []byte("tree"))
	whole := append([]byte(nil), b.Bytes()...)
	say(&b, sayDone, nil)
	done := append([]byte(nil), b.Bytes()...)
	say(&b, sayStage, []byte("after the end"))
	var heard []string
	collect := func(k kind, r io.Reader) error {
		text, err := io.ReadAll(r)
		heard = append(heard, string(rune(k))+string(text))
		return err
	}
	if err := hear(bytes.NewReader(b.Bytes()), collect); err != nil || !slices.Equal(heard, []string{"sone", "ttree"}) {
		t.Errorf("heard %q, %v", heard, err)
	}
	ignore := func(kind, io.Reader) error { return nil }
	if err := hear(bytes.NewReader(done), ignore); err != nil {
		t.Errorf("bodies that nobody reads: %v", err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"silent":   {whole, errSilent.Error()},
		"cut":      {whole[:15], errSilent.Error()},
		"error":    {append(whole, "e\x00\x00\x00\x00\x00\x00\x00\x04full"...), "full"},
		"unknown":  {append(whole, "?\x00\x00\x00\x00\x00\x00\x00\x00"...), "means nothing"},
		"too long": {append(whole, "s\x7f\x00\x00\x00\x00\x00\x00\x00"...), "bytes"},
	} {
		if err := hear(bytes.NewReader(c.data), ignore); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, err, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	a := folders("a", "b")
	if err := compare(a, folders("a", "b")); err != nil {
		t.Error(err)
	}
	mode := folders("a", "b")
	mode.Entries[2].Mode, mode.Entries[2].MTime = 0o700, 1
	for want, b := range map[string]*tree.Manifest{
		"/b is not there (1 paths": folders("a"), "/c was never asked for": folders("a", "b", "c"), "/b has another mode, mtime": mode,
	} {
		if err := compare(a, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func TestCopyData(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "volume"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 3 * mega
	f.Truncate(size)
	f.WriteAt(bytes.Repeat([]byte("x"), 5000), 8000)
	f.WriteAt(make([]byte, mega), mega) // data, but zeros
	f.WriteAt([]byte("end"), size-3)
	h := new(holes)
	if err := copyData(t.Context(), h, f, size); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(h.Bytes(), want) {
		t.Error("the copy is another")
	}
	if h.data > 20_000 {
		t.Errorf("%d bytes were written as data", h.data)
	}
}

// holes counts what is written as data.
type holes struct {
	bytes.Buffer
	data int
}

func (h *holes) Write(b []byte) (int, error) {
	h.data += len(b)
	return h.Buffer.Write(b)
}

func (h *holes) Hole(n int64) error {
	_, err := h.Buffer.Write(make([]byte, n))
	return err
}
