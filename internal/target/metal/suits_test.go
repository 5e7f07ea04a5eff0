package metal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"slipway/internal/machine"
)

// loopOf attaches a file as a disk for the test's duration.
func loopOf(t *testing.T, file string, more ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a loop device needs root")
	}
	out, err := exec.Command("losetup", append(append([]string{"--find", "--show"}, more...), file)...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %s", out)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "-d", loop).Run() })
	return loop
}

func find(t *testing.T, word string) *Device {
	t.Helper()
	d, err := Finder{}.Find(word)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func zeros(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// partitioned is an image with a GPT that counts in sectors of 512 bytes.
func partitioned(t *testing.T, size int64) string {
	t.Helper()
	path := zeros(t, size)
	cmd := exec.Command("sfdisk", "-q", path)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=4MiB, name=first\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("sfdisk: %v %s", err, out)
	}
	return path
}

func TestSuitsImage(t *testing.T) {
	tabled, bare := partitioned(t, 16<<20), zeros(t, 1<<20)
	for _, c := range []struct {
		name  string
		d     Device
		image string
		want  string
	}{
		{"whole disk", Device{Size: 32 << 20, Sector: 512}, tabled, ""},
		{"small disk", Device{Path: "/dev/x", Size: 8 << 20, Sector: 512}, tabled, "/dev/x has 8 MiB, and web.raw needs 16 MiB"},
		{"large sectors", Device{Size: 32 << 20, Sector: 4096}, tabled, "disk.sector_size: 4096"},
		{"a file has no sectors", Device{Size: 32 << 20, Sector: 512, File: true}, tabled, ""},
		{"table in a partition", Device{Size: 32 << 20, Sector: 512, Partition: true}, tabled, "name the whole disk"},
		{"file system in a partition", Device{Size: 32 << 20, Sector: 512, Partition: true}, bare, ""},
		{"file system on large sectors", Device{Size: 32 << 20, Sector: 4096}, bare, ""},
	} {
		v, err := ImageFile(c.image, c.d.Size)
		if err != nil {
			t.Fatal(err)
		}
		checkError(t, c.name, c.d.Suits(v, "web.raw"), c.want)
	}
}

func TestSuitsLayout(t *testing.T) {
	disk, part := Device{Path: "/dev/x", Size: 1 << 30}, Device{Path: "/dev/x1", Size: 1 << 30, Partition: true}
	checkError(t, "fits", disk.SuitsLayout(machine.Disk{Table: "gpt", Size: 1 << 30}), "")
	checkError(t, "too large", disk.SuitsLayout(machine.Disk{Table: "gpt", Size: 2 << 30}), "disk.size is 2G, and /dev/x has 1 GiB")
	checkError(t, "table in a partition", part.SuitsLayout(machine.Disk{Table: "gpt"}), "the definition wants a gpt partition table")
	checkError(t, "bare in a partition", part.SuitsLayout(machine.Disk{Table: "none"}), "")
	checkError(t, "an empty file", (&Device{File: true}).SuitsLayout(machine.Disk{Table: "gpt", Size: 2 << 30}), "")
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// TestLargeSectors writes to a disk whose sectors have 4096 bytes.
func TestLargeSectors(t *testing.T) {
	loop := loopOf(t, zeros(t, 64<<20), "--sector-size", "4096")
	d := find(t, loop)
	if d.Sector != 4096 {
		t.Skip("no loop device: this kernel's have no sectors of 4096 bytes")
	}
	if err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"}); err != nil {
		t.Fatal(err)
	}
	check(t, loop)
}

func TestReadOnlyDisk(t *testing.T) {
	d := find(t, loopOf(t, zeros(t, 4<<20), "--read-only"))
	checkError(t, "idle", d.Idle(), "blockdev --setrw "+d.Path)
	if !strings.Contains(d.String(), "read-only") {
		t.Errorf("it is shown as %s", d)
	}
}

// partNode makes a node for a partition: without udev nobody else does.
func partNode(t *testing.T, kernel string) string {
	t.Helper()
	number, err := os.ReadFile(filepath.Join("/sys/class/block", kernel, "dev"))
	var major, minor uint32
	if err == nil {
		_, err = fmt.Sscanf(string(number), "%d:%d", &major, &minor)
	}
	if err != nil {
		t.Skipf("no loop device: it has no partitions: %v", err)
	}
	node := filepath.Join(t.TempDir(), kernel)
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); err != nil {
		t.Skipf("no loop device: making a node for its partition: %v", err)
	}
	return node
}

// TestOnePartition writes to a partition: its neighbours and the table stay.
func TestOnePartition(t *testing.T) {
	path := zeros(t, 64<<20)
	cmd := exec.Command("sfdisk", "-q", path)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=40MiB, name=mine\nsize=4MiB, name=theirs\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("sfdisk: %v %s", err, out)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	loop := loopOf(t, path, "--partscan")
	if _, err := os.Stat(filepath.Join("/sys/class/block", filepath.Base(loop)+"p1")); err != nil {
		exec.Command("addpart", loop, "1", "2048", "81920").Run() // a kernel that reads no such tables
	}
	node := partNode(t, filepath.Base(loop)+"p1")
	d := find(t, node)
	if !d.Partition || d.Sector != 512 || d.Size != 40<<20 || !strings.Contains(d.String(), "a partition") {
		t.Fatalf("%+v", d)
	}
	if err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"}); err != nil {
		t.Fatal(err)
	}
	check(t, node)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before[:1<<20], after[:1<<20]) || !bytes.Equal(before[41<<20:], after[41<<20:]) {
		t.Errorf("bytes outside the partition have changed (%v)", err)
	}
}

// TestMissing: the error says what would do.
func TestMissing(t *testing.T) {
	f := fakeSys(t)
	file := filepath.Join(t.TempDir(), "new.raw")
	_, err := f.Find(file)
	checkError(t, "a file", err, "truncate -s 4G "+file)
	if _, err = f.Find("/dev/sdx"); err == nil || strings.Contains(err.Error(), "truncate") {
		t.Errorf("a node: %v", err)
	}
}

func TestMountedRoot(t *testing.T) {
	d := Device{Path: "/dev/sda"}
	checkError(t, "/", d.mounted("sda2", "/"), "/dev/sda2 is mounted on /, this system runs from it; start another system")
	checkError(t, "/mnt", d.mounted("sda2", "/mnt"), "unmount it: umount /mnt")
}

func TestIs(t *testing.T) {
	with, without := Device{Path: "/dev/sda", Serial: "S1"}, Device{Path: "/dev/dm-0", Given: "/dev/hostvg/web"}
	for _, c := range []struct {
		d    *Device
		word string
		want bool
	}{{&with, "S1", true}, {&with, "/dev/sda", false}, {&with, "", false}, {&without, "/dev/dm-0", true}, {&without, "/dev/hostvg/web", true}, {&without, "", false}} {
		if c.d.Is(c.word) != c.want {
			t.Errorf("%s: %q: %t", c.d, c.word, !c.want)
		}
	}
}

// TestFullFileSystem: the file system that holds the file has no room left.
func TestFullFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := find(t, path)
	err := d.Write(t.Context(), volume{}, WriteOptions{What: "web"})
	checkError(t, "full", err, "make room on the file system that holds it")
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(d.Unfinished(), "web") {
		t.Errorf("%v, mark %q", err, d.Unfinished())
	}
}

func TestVariablesRemedies(t *testing.T) {
	checkError(t, "read-only", unset(EFIVars, "BootOrder", unix.EROFS), "mount -o remount,rw "+EFIVars)
	checkError(t, "full", unset(EFIVars, "Boot0001", unix.ENOSPC), "efibootmgr")
	firmware := t.TempDir()
	checkError(t, "no UEFI", NeedVars(filepath.Join(firmware, "absent")), "")
	checkError(t, "not mounted", NeedVars(firmware), "mount -t efivarfs efivarfs "+firmware)
	if err := os.MkdirAll(filepath.Join(firmware, "efivars"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(firmware, "efivars", "BootOrder"+globalVariable), []byte{7, 0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	checkError(t, "mounted", NeedVars(firmware), "")
}

// TestReadOnlyVariables sets a variable on a file system that is read-only.
func TestReadOnlyVariables(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "size=64k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	_, err := SetBootEntry(dir, BootEntry{Label: "web", Path: ESPPath("EFI/BOOT/BOOTX64.EFI")})
	checkError(t, "read-only", err, "remount,rw "+dir)
}

// TestUnfinishedPartition: the mark of a write that kept the table.
func TestUnfinishedPartition(t *testing.T) {
	path := partitioned(t, 64<<20)
	d := find(t, path)
	broken := errors.New("broken")
	if err := d.Part(1<<20, 40<<20).Write(t.Context(), volume{fail: broken}, WriteOptions{What: "web, partition first"}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	c, err := d.Contents()
	if err != nil || len(c.Parts) != 1 || !strings.Contains(c.Lines()[0], "an unfinished write of web, partition first") {
		t.Errorf("%q, %v", c.Lines(), err)
	}
}

// TestNames: partitions and logical volumes as the kernel describes them.
func TestNames(t *testing.T) {
	f := fakeSys(t)
	for name, text := range map[string]string{
		"devices/vda/vda1/partition": "1\n", "devices/vda/vda1/size": "2048\n", "devices/vda/queue/logical_block_size": "4096\n",
		"devices/vda/removable": "1\n", "devices/dm-0/dm/name": "hostvg-web\n", "devices/dm-0/dm/uuid": "LVM-abc\n", "devices/dm-0/size": "2048\n",
	} {
		p := filepath.Join(f.Sys, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"vda1": "vda/vda1", "dm-0": "dm-0"} {
		if err := os.Symlink(filepath.Join(f.Sys, "devices", to), filepath.Join(f.Sys, "class/block", name)); err != nil {
			t.Fatal(err)
		}
	}
	if d := f.describe("vda1"); !d.Partition || d.Sector != 4096 || !d.Removable || d.String() != "/dev/vda1, 1 MiB, a partition, removable" {
		t.Errorf("%s: %+v", d, d)
	}
	if d := f.describe("dm-0"); d.Partition || d.String() != "/dev/dm-0, 1 MiB, LVM volume hostvg-web" {
		t.Errorf("%s: %+v", d, d)
	}
}
