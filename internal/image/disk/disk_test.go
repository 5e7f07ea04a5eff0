package disk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image"
	"slipway/internal/image/partition"
	"slipway/internal/image/qcow2"
	"slipway/internal/image/vfat"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

const mib = 1 << 20

// fake is a file system of content that needs some bytes.
type fake struct {
	name       string
	need, size int64
}

func (f fake) Size() int64 { return f.size }
func (f fake) Write(ctx context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, f.name); err != nil {
		return err
	}
	return image.Hole(w, f.size-int64(len(f.name)))
}

// volumes makes a real FAT of an ESP and fakes of the rest.
func volumes(root int64) VolumeFunc {
	return func(ctx context.Context, s Slot, opt image.VolumeOptions) (image.Volume, error) {
		if s.Use == "esp" {
			return vfat.Plan(ctx, &tree.Manifest{}, tree.Bytes{}, opt)
		}
		f := fake{name: "this is " + s.Use, size: opt.Size}
		if s.Use == "root" {
			f.need = root
		}
		if f.size == 0 {
			f.size = f.need + opt.Free
		}
		if f.size < f.need {
			return nil, fmt.Errorf("no room")
		}
		return f, nil
	}
}

func layout(table string, size machine.Size, parts ...machine.Partition) machine.Disk {
	d := machine.Definition{Disk: machine.Disk{Table: table, Size: size, Partitions: parts}}
	return d.Layout()
}

func request(l machine.Disk) Request {
	return Request{Layout: l, Seed: "web", Arch: "amd64", Volume: volumes(100 * mib), Free: 50 * mib}
}

func write(t *testing.T, d *Disk) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.Write(context.Background(), sparse{f}); err != nil {
		t.Fatal(err)
	}
	at, _ := f.Seek(0, io.SeekCurrent)
	if err := f.Truncate(at); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(name); st.Size() != d.Size() {
		t.Fatalf("%d bytes, Size says %d", st.Size(), d.Size())
	}
	return name
}

type sparse struct{ *os.File }

// Hole implements image.Holer.
func (f sparse) Hole(n int64) error {
	_, err := f.Seek(n, io.SeekCurrent)
	return err
}

type part = machine.Partition

func TestPlan(t *testing.T) {
	boot := func(_ context.Context, slots []Slot, core, room int64) (BootCode, error) {
		return BootCode{MBR: []byte{0xeb, 0x63}, Core: fmt.Appendf(nil, "core at %d of %d", core, room)}, nil
	}
	standard := []part{{Use: "esp"}, {Use: "bios"}, {Use: "root", Grow: true}}
	for _, tt := range []struct {
		name   string
		layout machine.Disk
		bios   bool
		blobs  []Blob
		size   int64
		places []int64 // MiB: offset, length
		core   string
	}{
		{"fixed", layout("gpt", 2<<30, standard...), true, nil, 2048, []int64{1, 128, 129, 1, 130, 1917}, "core at 135266304 of 1048576"},
		{"smallest", layout("gpt", 0, standard...), true, nil, 281, []int64{1, 128, 129, 1, 130, 150}, "core at 135266304 of 1048576"},
		{"hybrid", layout("hybrid", 0, standard...), true, nil, 281, []int64{1, 128, 129, 1, 130, 150}, "core at 135266304 of 1048576"},
		{"msdos", layout("msdos", 300*mib, part{Use: "swap", Size: 16 * mib}, part{Use: "root", Grow: true}), true, nil, 300, []int64{1, 16, 17, 283}, "core at 512 of 1048064"},
		{"grows in the middle", layout("msdos", 300*mib, part{Use: "root", Grow: true}, part{Use: "data", Mount: "/srv", Size: 10*mib + 512}), false, nil, 300, []int64{1, 288, 289, 10}, ""},
		{"none", layout("none", 0), false, nil, 150, []int64{0, 150}, ""},
		{"none of a size", layout("none", 200*mib), false, nil, 200, []int64{0, 200}, ""},
		{"board", layout("gpt", 0, part{Use: "root"}), false, []Blob{{"a", 32 << 10, Bytes("a")}, {"b", 8 * mib, Bytes(make([]byte, mib+1))}}, 161, []int64{10, 150}, ""},
		{"behind", layout("msdos", 0, part{Use: "root"}), true, []Blob{{"env", 600 * mib, Bytes("x")}}, 601, []int64{1, 150}, "core at 512 of 1048064"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.layout)
			r.Blobs, r.Layout.Blobs = tt.blobs, make([]machine.Blob, len(tt.blobs))
			if tt.bios {
				r.Boot = boot
			}
			d, err := Plan(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			var places []int64
			for _, s := range d.Slots {
				places = append(places, s.Offset/mib, s.Length/mib)
			}
			if diff := cmp.Diff(tt.places, places); diff != "" || d.Size() != tt.size*mib {
				t.Errorf("%d MiB; places %s", d.Size()/mib, diff)
			}
			name := write(t, d)
			checkBytes(t, name, d, tt.core, tt.blobs)
			judge(t, name, d)
		})
	}
}

// checkBytes looks for what belongs at each place.
func checkBytes(t *testing.T, name string, d *Disk, core string, blobs []Blob) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	has := func(at int64, want string) {
		b := make([]byte, len(want))
		if f.ReadAt(b, at); string(b) != want {
			t.Errorf("at %d: %q, want %q", at, b, want)
		}
	}
	for _, s := range d.Slots {
		switch s.Use {
		case "esp":
			if _, err := vfat.Open(io.NewSectionReader(f, s.Offset, s.Length), s.Length); err != nil {
				t.Error(err)
			}
		case "swap":
			has(s.Offset+4086, "SWAPSPACE2")
		case "bios":
			has(s.Offset, core)
		default:
			has(s.Offset, "this is "+s.Use)
		}
	}
	if d.Table != nil && d.Table.Kind == partition.MBR {
		has(512, core)
	}
	for _, b := range blobs {
		has(b.Offset, string(b.Content.(Bytes)))
	}
	if d.Table == nil {
		return
	}
	got, err := partition.Read(f, d.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got.Parts {
		s := d.Slots[i]
		if got.PartUUID(&p) != s.PartUUID || p.Start != s.Offset || p.Size != s.Length || p.Number != s.Number {
			t.Errorf("%+v is not %+v", p, s)
		}
	}
}

// judge asks foreign programs for what Slots says.
func judge(t *testing.T, name string, d *Disk) {
	t.Helper()
	if d.Table == nil {
		return
	}
	if out := tool(t, "sfdisk", "--verify", name); !strings.Contains(out, "No errors detected") {
		t.Error(out)
	}
	if d.Table.Kind != partition.MBR {
		if out := tool(t, "sgdisk", "-v", name); !strings.Contains(out, "No problems found") {
			t.Error(out)
		}
	}
	dump := tool(t, "sfdisk", "--dump", name)
	for _, s := range d.Slots {
		if d.Table.Kind == partition.MBR {
			id := strings.TrimSuffix(s.PartUUID, fmt.Sprintf("-%02x", s.Number))
			if !strings.Contains(dump, "label-id: 0x"+id) {
				t.Errorf("%s lacks %s", dump, id)
			}
		} else if !strings.Contains(dump, strings.ToUpper(s.PartUUID)) || !strings.Contains(dump, fmt.Sprintf("name=%q", s.Name)) {
			t.Errorf("%s lacks %s", dump, s.PartUUID)
		}
		if s.Use == "swap" || s.Use == "esp" {
			out := tool(t, "blkid", "-p", "-o", "export", "-O", fmt.Sprint(s.Offset), "-S", fmt.Sprint(s.Length), name)
			if !strings.Contains(out, "\nUUID="+s.UUID+"\n") && !strings.HasPrefix(out, "UUID="+s.UUID+"\n") || !strings.Contains(out, "LABEL="+s.Label+"\n") {
				t.Errorf("blkid says %s, want %s %s", out, s.UUID, s.Label)
			}
		}
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestErrors(t *testing.T) {
	esp, bios, root := part{Use: "esp"}, part{Use: "bios"}, part{Use: "root", Grow: true}
	boot := func(context.Context, []Slot, int64, int64) (BootCode, error) {
		return BootCode{Core: make([]byte, 2*mib)}, nil
	}
	at := func(offset int64, size int) []Blob { return []Blob{{"u-boot.img", offset, Bytes(make([]byte, size))}} }
	for _, tt := range []struct {
		name   string
		layout machine.Disk
		boot   BootFunc
		blobs  []Blob
		want   []string
	}{
		{"two grow", layout("gpt", 0, part{Use: "data", Grow: true, Size: mib, Mount: "/x"}, root), nil, nil, []string{"1 and 2 both grow"}},
		{"small ESP", layout("gpt", 0, part{Use: "esp", Size: 32 * mib}, root), nil, nil, []string{"32M", "33M"}},
		{"no root", layout("gpt", 0, esp), nil, nil, []string{"no partition is the root"}},
		{"two roots", layout("gpt", 0, part{Use: "root"}, root), nil, nil, []string{"1 and 2 are both root"}},
		{"bios without place", layout("gpt", 0, esp, root), boot, nil, []string{"core image", "{use: bios}"}},
		{"bios of a bare disk", layout("none", 0), boot, nil, []string{"without a table"}},
		{"bios partition in an MBR", layout("msdos", 0, bios, root), nil, nil, []string{"remove it"}},
		{"large core", layout("gpt", 0, bios, root), boot, nil, []string{"2097152", "1048576"}},
		{"core and blob", layout("msdos", 0, root), boot, at(512<<10, 5), []string{"core image", "523776"}},
		{"beyond the disk", layout("gpt", 100*mib, part{Use: "root", Size: 120 * mib}), nil, nil, []string{"122M", "100M"}},
		{"large tree", layout("gpt", 90*mib, root), nil, nil, []string{"partition 1 (root)", "88M", "100M", "disk.size is 90M", "no room"}},
		{"large tree of a bare disk", layout("none", 90*mib), nil, nil, []string{"the root", "90M", "100M"}},
		{"nothing left", layout("gpt", 130*mib, esp, root), nil, nil, []string{"nothing", "partition 2 (root)"}},
		{"blob on table", layout("gpt", 0, root), nil, at(8192, 9), []string{"partition table", "blob u-boot.img", "overlap"}},
		{"blob on root", layout("gpt", 300*mib, root), nil, at(100*mib, 9), []string{"partition 1 (root)", "blob u-boot.img", "overlap"}},
		{"blob on the copy", layout("msdos", 300*mib, root), nil, at(300*mib-1, 9), []string{"behind the disk's 300M"}},
		{"two blobs", layout("msdos", 0, root), nil, append(at(8192, 9), Blob{"spl", 8200, Bytes("x")}), []string{"blob u-boot.img", "blob spl"}},
		{"sectors", layout("gpt", 300*mib+100, root), nil, nil, []string{"no multiple", "512"}},
		{"empty data", layout("gpt", 0, part{Use: "data", Mount: "/x"}, root), nil, nil, []string{"partition 1 (data)", "needs a size"}},
		{"label", layout("gpt", 0, part{Use: "root", Label: "a label of 17 byt"}), nil, nil, []string{"16 bytes"}},
		{"FAT label", layout("gpt", 0, part{Use: "esp", Label: "a label of 17 byt"}, root), nil, nil, []string{"11 characters"}},
		{"name", layout("gpt", 0, part{Use: "root", Name: strings.Repeat("n", 37)}), nil, nil, []string{"36"}},
		{"type", layout("gpt", 0, part{Use: "root", Type: "83"}), nil, nil, []string{"GUID"}},
		{"file system", layout("gpt", 0, part{Use: "root", Filesystem: "zfs"}), nil, nil, []string{"zfs"}},
		{"five", layout("msdos", 0, root, part{Use: "swap", Size: mib}, part{Use: "swap", Size: mib}, part{Use: "swap", Size: mib}, part{Use: "swap", Size: mib}), nil, nil, []string{"holds 4"}},
		{"too large for an MBR", layout("msdos", 3<<40, root), nil, nil, []string{"gpt"}},
		{"bare with two", layout("none", 0, root, esp), nil, nil, []string{"one file system"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.layout)
			r.Boot, r.Blobs, r.Layout.Blobs = tt.boot, tt.blobs, make([]machine.Blob, len(tt.blobs))
			_, err := Plan(context.Background(), r)
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

func TestIdentify(t *testing.T) {
	a, err := Identify(layout("gpt", 0, part{Use: "root"}, part{Use: "data", Mount: "/a", Size: mib}, part{Use: "data", Mount: "/b", Size: mib}), "web", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Identify(layout("gpt", 0, part{Use: "esp"}, part{Use: "root"}, part{Use: "data", Mount: "/a", Size: mib}), "web", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if a[0].UUID != b[1].UUID || a[0].PartUUID != b[1].PartUUID || a[1].UUID != b[2].UUID || a[1].UUID == a[2].UUID {
		t.Error("an ESP changed the identifiers of others")
	}
	if want := "d9b82841-041d-431b-a079-0427e77649dd"; a[0].UUID != want {
		t.Errorf("the root of web is %s, want %s: images made before would have others", a[0].UUID, want)
	}
	c, _ := Identify(layout("gpt", 0, part{Use: "root", Filesystem: "squashfs"}), "web", "amd64")
	if c[0].UUID != "" || c[0].Label != "" || c[0].PartUUID == "" {
		t.Errorf("%+v", c[0])
	}
}

func TestLargeSectors(t *testing.T) {
	l := layout("gpt", 2<<30, part{Use: "esp"}, part{Use: "root", Grow: true})
	l.SectorSize = 4096
	d, err := Plan(context.Background(), request(l))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(write(t, d))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := partition.Read(f, d.Size(), 0)
	if err != nil || got.Sector != 4096 || len(got.Parts) != 2 || got.Parts[1].Start != d.Slots[1].Offset {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWriteAgain(t *testing.T) {
	d, err := Plan(context.Background(), request(layout("gpt", 0, part{Use: "esp", Size: 40 * mib}, part{Use: "root"})))
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := d.Write(context.Background(), &a); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(context.Background(), &b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("written again it is another disk", err)
	}
}

// TestQcow2 passes a disk on to a format that takes volumes.
func TestQcow2(t *testing.T) {
	d, err := Plan(context.Background(), request(layout("gpt", 0, part{Use: "esp"}, part{Use: "swap", Size: mib}, part{Use: "root"})))
	if err != nil {
		t.Fatal(err)
	}
	raw := write(t, d)
	f, err := os.Create(raw + ".qcow2")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := qcow2.Write(context.Background(), f, d); err != nil {
		t.Fatal(err)
	}
	if st, _ := f.Stat(); st.Size() > 2*mib {
		t.Errorf("%d bytes for a disk of holes", st.Size())
	}
	tool(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, raw+".qcow2")
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	want := append(bytes.Repeat([]byte{1}, 70000), make([]byte, 5<<20)...)
	want = append(want, "end"...)
	if _, err := image.WriteFile(name, false, func(w io.Writer) error {
		w.Write(want[:70000])
		image.Hole(w, 5<<20)
		_, err := io.WriteString(w, "end")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, skip := range []int64{0, 512, 70000, 100000, 70000 + 5<<20, int64(len(want))} {
		f, err := OpenFile(name, skip)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := f.Write(context.Background(), &out); err != nil || !bytes.Equal(out.Bytes(), want[skip:]) || f.Size() != int64(len(want))-skip {
			t.Errorf("without %d: %d bytes, %v", skip, out.Len(), err)
		}
	}
	if _, err := OpenFile(name, 30<<20); err == nil {
		t.Error("more skipped than there is")
	}
}
