package metal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image"
)

// volume is some data, a hole, bytes that mean nothing, and data again.
type volume struct {
	fail  error
	total int64
}

const (
	holeAt = 3<<20 + 100
	skipAt = 20 << 20
	tailAt = 24 << 20
)

func (v volume) Size() int64 {
	if v.total != 0 {
		return v.total
	}
	return 30 << 20
}

func (v volume) Write(_ context.Context, w io.Writer) error {
	if _, err := w.Write(bytes.Repeat([]byte("data"), holeAt/4)); err != nil {
		return err
	}
	if v.fail != nil {
		return v.fail
	}
	if err := image.Hole(w, skipAt-holeAt); err != nil {
		return err
	}
	if err := image.Skip(w, tailAt-skipAt); err != nil {
		return err
	}
	_, err := w.Write(bytes.Repeat([]byte("tail"), (30<<20-tailAt)/4))
	return err
}

// check compares a disk with the volume; what was skipped is free to differ.
func check(t *testing.T, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, skipAt)
	copy(want, bytes.Repeat([]byte("data"), holeAt/4))
	if !bytes.Equal(got[:skipAt], want) || !bytes.Equal(got[tailAt:30<<20], bytes.Repeat([]byte("tail"), (30<<20-tailAt)/4)) {
		t.Error("the disk does not hold what was written")
	}
}

func fileDisk(t *testing.T, size int64) *Device {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xee}, int(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Finder{}.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWriteFile(t *testing.T) {
	d := fileDisk(t, 40<<20)
	var stages []string
	err := d.Write(t.Context(), volume{}, WriteOptions{What: "web", Progress: func(s string, _, _ int64) { stages = append(stages, s) }})
	if err != nil {
		t.Fatal(err)
	}
	check(t, d.Path)
	b, _ := os.ReadFile(d.Path)
	if b[31<<20] != 0xee || b[40<<20-1] != 0 {
		t.Error("beyond the volume only the old backup table goes")
	}
	if !strings.Contains(strings.Join(stages, " "), "verify") {
		t.Error("nothing was read back")
	}
	if d.Unfinished() != "" {
		t.Error("a finished write is marked as unfinished")
	}
}

func TestInterruptedWriteLeavesMark(t *testing.T) {
	d := fileDisk(t, 40<<20)
	broken := errors.New("broken")
	if err := d.Write(t.Context(), volume{fail: broken}, WriteOptions{What: "the machine web"}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got := d.Unfinished(); !strings.Contains(got, "the machine web") || !strings.Contains(got, "begun 20") {
		t.Errorf("the mark says %q", got)
	}
	if err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"}); err != nil || d.Unfinished() != "" {
		t.Errorf("the second attempt: %v, %q", err, d.Unfinished())
	}
	check(t, d.Path)
}

func TestLoopDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a loop device needs root")
	}
	back := filepath.Join(t.TempDir(), "back")
	if err := os.WriteFile(back, bytes.Repeat([]byte{0xee}, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", back).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %s", out)
	}
	loop := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "-d", loop).Run()
	d, err := Finder{}.Find(loop)
	if err != nil {
		t.Fatal(err)
	}
	if d.Size != 64<<20 || d.File {
		t.Errorf("%+v", d)
	}
	if err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"}); err != nil {
		t.Fatal(err)
	}
	check(t, loop)
	file, err := Finder{}.Find(back)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if err := file.Idle(); !errors.As(err, &busy) || !strings.Contains(err.Error(), loop) {
		t.Errorf("the file behind a loop device: %v", err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-F", loop).CombinedOutput(); err != nil {
		t.Skipf("mke2fs: %s", out)
	}
	mnt := t.TempDir()
	if out, err := exec.Command("mount", loop, mnt).CombinedOutput(); err != nil {
		t.Skipf("mount: %s", out)
	}
	defer exec.Command("umount", mnt).Run()
	if err := d.Write(t.Context(), volume{}, WriteOptions{}); !errors.As(err, &busy) || !strings.Contains(err.Error(), mnt) {
		t.Errorf("a mounted disk: %v", err)
	}
}

func TestTooSmall(t *testing.T) {
	d := fileDisk(t, 2<<20)
	d.File = false // a file grows, a disk does not
	if err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"}); err == nil || !strings.Contains(err.Error(), "30 MiB") {
		t.Error(err)
	}
}

// fakeSys is a host with three disks, two of them with one serial number.
func fakeSys(t *testing.T) Finder {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, serial := range map[string]string{"vda": "A1", "vdb": "TWIN", "vdc": "TWIN", "sr0": "CD"} {
		put("block/"+name+"/x", "")
		size := "2097152\n"
		if name == "sr0" {
			size = "0\n"
		}
		put("class/block/"+name+"/size", size)
		put("class/block/"+name+"/serial", serial+"\n")
		put("class/block/"+name+"/device/model", "QEMU   DISK \n")
	}
	return Finder{Sys: root, Dev: "/dev"}
}

func TestFindBySerial(t *testing.T) {
	f := fakeSys(t)
	d, err := f.Find("serial:A1")
	if err != nil || d.Path != "/dev/vda" || d.Size != 1<<30 || d.Model != "QEMU DISK" {
		t.Fatalf("%+v, %v", d, err)
	}
	for word, want := range map[string]string{
		"serial:TWIN": "/dev/vdb and /dev/vdc", "serial:B": "the disks here: /dev/vda, 1 GiB, QEMU DISK, serial A1",
		"serial:": "names no serial", "/dev/nothing-there": "does not exist", "/dev/null": "neither a disk nor a file",
	} {
		if _, err := f.Find(word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestBootEntry(t *testing.T) {
	vars := t.TempDir()
	if HasEFI(vars) {
		t.Error("an empty folder is no firmware")
	}
	old := append([]byte{7, 0, 0, 0}, 3, 0)
	if err := os.WriteFile(filepath.Join(vars, "BootOrder"+globalVariable), old, 0o600); err != nil {
		t.Fatal(err)
	}
	e := BootEntry{Label: "web", Partition: 1, Start: 2048, Sectors: 262144, GUID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, Path: ESPPath("EFI/systemd/systemd-bootx64.efi")}
	for range 2 { // the second time it is the same entry
		n, err := SetBootEntry(vars, e)
		if err != nil || n != 0 {
			t.Fatal(n, err)
		}
	}
	e.Label, e.Path = "other", ESPPath("/EFI/BOOT/BOOTX64.EFI")
	if n, err := SetBootEntry(vars, e); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	order, err := bootOrder(vars)
	if err != nil || len(order) != 3 || order[0] != 1 || order[1] != 0 || order[2] != 3 {
		t.Errorf("order %v, %v", order, err)
	}
	b, _ := os.ReadFile(filepath.Join(vars, "Boot0000"+globalVariable))
	want := "\x07\x00\x00\x00\x01\x00\x00\x00"
	if !bytes.HasPrefix(b, []byte(want)) || !bytes.Contains(b, []byte("w\x00e\x00b\x00\x00\x00\x04\x01\x2a\x00\x01\x00\x00\x00\x00\x08\x00\x00")) ||
		!bytes.Contains(b, []byte("\x04\x03\x02\x01\x06\x05\x08\x07\x09")) || !bytes.HasSuffix(b, []byte("\x7f\xff\x04\x00")) {
		t.Errorf("entry % x", b)
	}
	if !HasEFI(vars) {
		t.Error("variables make a firmware")
	}
}
