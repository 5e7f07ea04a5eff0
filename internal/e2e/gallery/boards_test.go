package gallery

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
	"slipway/internal/image/partition"
	"slipway/internal/machine"
)

// blobs are the raw bytes that a board's disk holds: the offset, and the file
// they are from, in the machine (absolute) or beside the definition.
var blobs = map[string][]struct {
	offset, skip int64
	file         string
}{
	"rock64":    {{32 << 10, 0, "/usr/lib/u-boot/rock64-rk3328/u-boot-rockchip.bin"}},
	"odroid-c2": {{512, 512, "bl1.bin.hardkernel"}, {97 * 512, 0, "u-boot.odroid-c2"}},
}

// TestGalleryBoards makes the disk of every board and looks at its structure:
// the loader's bytes where the board looks for them, no partition over them, and
// all that extlinux.conf names is there. That none of these boards is at hand
// to be started is said in docs/boards.md.
func TestGalleryBoards(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	if _, err := exec.LookPath("debugfs"); err != nil {
		t.Skip("debugfs (package e2fsprogs) is not installed")
	}
	for _, board := range machine.Boards() {
		if board == "qemu-arm64-uboot" {
			continue // started: gallery/board-uboot.yaml
		}
		t.Run(board, func(t *testing.T) { checkBoard(t, board) })
	}
}

func checkBoard(t *testing.T, board string) {
	w := kit.SharedWorld(t)
	dir := kit.TempDir(t)
	for _, name := range []string{"bl1.bin.hardkernel", "u-boot.odroid-c2"} {
		data := make([]byte, 40_000)
		rand.Read(data)
		write(t, filepath.Join(dir, name), data)
	}
	definition := filepath.Join(dir, "board.yaml")
	write(t, definition, []byte("slipway: v1\nname: board\nsystem: debian/trixie\nboard: "+board+"\nprobes: []\n"))
	out := filepath.Join(dir, "board.raw")
	w.Must("build", definition, "-o", out)

	disk, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	info, err := disk.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := partition.Read(disk, info.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	root := table.Parts[len(table.Parts)-1]
	for _, b := range blobs[board] {
		want := inside(t, dir, out, root.Start, b.file)[b.skip:]
		got := make([]byte, len(want))
		if _, err := disk.ReadAt(got, b.offset); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not at %d (%v)", b.file, b.offset, err)
		}
		for _, p := range table.Parts {
			if b.offset < p.Start+p.Size && p.Start < b.offset+int64(len(want)) {
				t.Errorf("%s, at %d to %d, lies in the partition at %d", b.file, b.offset, b.offset+int64(len(want)), p.Start)
			}
		}
	}
	if board == "apu2" {
		mbr := make([]byte, 512)
		if _, err := disk.ReadAt(mbr, 0); err != nil || !bytes.Contains(mbr[:440], []byte("GRUB")) {
			t.Errorf("no GRUB in the first sector (%v)", err)
		}
		return
	}
	checkExtlinux(t, board, dir, out, root.Start)
}

// checkExtlinux holds that every file that extlinux.conf names is there, and
// that it speaks to the board's console.
func checkExtlinux(t *testing.T, board, dir, image string, root int64) {
	conf := string(inside(t, dir, image, root, "/boot/extlinux/extlinux.conf"))
	named := 0
	for _, line := range strings.Split(conf, "\n") {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(word) {
		case "KERNEL", "LINUX", "INITRD":
			if named++; len(inside(t, dir, image, root, strings.TrimSpace(value))) == 0 {
				t.Errorf("%s %s: it is empty or not there", word, value)
			}
		case "FDTDIR":
			dtb := map[string]string{"rock64": "rockchip/rk3328-rock64.dtb", "odroid-c2": "amlogic/meson-gxbb-odroidc2.dtb", "rpi4": "broadcom/bcm2711-rpi-4-b.dtb"}[board]
			if named++; !bytes.HasPrefix(inside(t, dir, image, root, filepath.Join(value, dtb)), []byte("\xd0\x0d\xfe\xed")) {
				t.Errorf("no device tree %s in %s", dtb, value)
			}
		}
	}
	if named < 3 {
		t.Errorf("extlinux.conf names %d files:\n%s", named, conf)
	}
	console := map[string]string{"rock64": "console=ttyS2,1500000", "odroid-c2": "console=ttyAML0,115200", "rpi4": "console=ttyS1,115200"}[board]
	if !strings.Contains(conf, console) {
		t.Errorf("extlinux.conf has no %s:\n%s", console, conf)
	}
}

// inside reads a file beside the definition, or one of the root of an image by
// the file system's own tool.
func inside(t *testing.T, dir, image string, root int64, file string) []byte {
	t.Helper()
	if !filepath.IsAbs(file) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	to := filepath.Join(dir, "read")
	os.Remove(to)
	out, err := exec.Command("debugfs", "-R", fmt.Sprintf("dump %s %s", file, to), fmt.Sprintf("%s?offset=%d", image, root)).CombinedOutput()
	data, read := os.ReadFile(to)
	if err != nil || read != nil {
		t.Fatalf("reading %s from the image: %v\n%s", file, read, out)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
