package blockid

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// put makes a device of which some bytes are set.
func put(size int, at map[int]string) []byte {
	b := make([]byte, size)
	for off, s := range at {
		copy(b[off:], s)
	}
	return b
}

const id = "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"

func TestProbe(t *testing.T) {
	const text = "00112233-4455-6677-8899-aabbccddeeff"
	for _, c := range []struct {
		name string
		b    []byte
		want Info
	}{
		{"nothing", make([]byte, 70<<10), Info{}},
		{"empty", nil, Info{}},
		{"ext4", put(8192, map[int]string{
			1024 + 4: "\x00\x10", 1024 + 24: "\x02", 1024 + 56: "\x53\xef", 1024 + 96: "\x40", 1024 + 104: id, 1024 + 120: "root",
		}), Info{Type: "ext4", UUID: text, Label: "root", Size: 16 << 20, Block: 4096}},
		{"xfs", put(8192, map[int]string{0: "XFSB\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00", 32: id, 108: "data", 127: "\x19"}),
			Info{Type: "xfs", UUID: text, Label: "data", Size: 1 << 20, Block: 4096, MaxInodes: 25}},
		{"squashfs", put(8192, map[int]string{0: "hsqs", 40: "\x00\x00\x01"}), Info{Type: "squashfs", Size: 65536}},
		{"erofs", put(8192, map[int]string{1024: "\xe2\xe1\xf5\xe0", 1036: "\x0c", 1024 + 36: "\x10", 1024 + 48: id, 1024 + 64: "r"}),
			Info{Type: "erofs", UUID: text, Label: "r", Size: 65536}},
		{"btrfs", put(68<<10, map[int]string{65536 + 32: id, 65536 + 64: "_BHRfS_M", 65536 + 112: "\x00\x00\x00\x10", 65536 + 0x12b: "pool"}),
			Info{Type: "btrfs", UUID: text, Label: "pool", Size: 256 << 20}},
		{"swap", put(8192, map[int]string{1036: id, 1052: "s", 4086: "SWAPSPACE2"}), Info{Type: "swap", UUID: text, Label: "s"}},
		{"an MBR", put(8192, map[int]string{446: "\x00\x00\x00\x00\x83", 510: "\x55\xaa"}), Info{}},
	} {
		got, err := Probe(bytes.NewReader(c.b))
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	i := Info{UUID: "ABCD-1234", Label: "root"}
	if !i.Matches("UUID", "abcd-1234") || !i.Matches("LABEL", "root") || i.Matches("LABEL", "Root") || (Info{}).Matches("UUID", "") || i.Matches("X", "root") {
		t.Error("UUIDs match in any case, labels exactly, nothing else")
	}
}

// TestAgainstBlkid lets the usual tools make file systems and blkid judge.
func TestAgainstBlkid(t *testing.T) {
	for _, c := range []struct{ tool, args string }{
		{"mke2fs", "-q -t ext4 -L my-root"}, {"mke2fs", "-q -t ext4 -b 1024 -L small"}, {"mke2fs", "-q -t ext2"}, {"mke2fs", "-q -t ext3"},
		{"mkfs.vfat", "-F 32 -n ESP"}, {"mkfs.vfat", "-F 16 -i 1234abcd"}, {"mkswap", "-L swap"}, {"mkfs.btrfs", "-q -L pool"}, {"mkfs.xfs", "-q -L data"},
	} {
		t.Run(c.tool+" "+c.args, func(t *testing.T) {
			tool, blkid := find(t, c.tool), find(t, "blkid")
			file := filepath.Join(t.TempDir(), "image")
			f, err := os.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(320 << 20); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(tool, append(strings.Fields(c.args), file)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got, err := Probe(f)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range map[string]string{"TYPE": got.Type, "UUID": got.UUID, "LABEL": got.Label} {
				want, _ := exec.Command(blkid, "-p", "-o", "value", "-s", key, file).Output()
				if value != strings.TrimSpace(string(want)) {
					t.Errorf("%s: got %q, blkid says %q", key, value, want)
				}
			}
		})
	}
}

func find(t *testing.T, tool string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, tool)); err == nil {
			return filepath.Join(dir, tool)
		}
	}
	t.Skipf("no %s to judge by", tool)
	return ""
}

func FuzzProbe(f *testing.F) {
	f.Add(put(8192, map[int]string{1024 + 56: "\x53\xef", 1024 + 24: "\xff\xff"}))
	f.Add(put(8192, map[int]string{0: "XFSB\xff\xff\xff\xff\xff\xff\xff\xff"}))
	f.Add(put(8192, map[int]string{0: "\xeb\x58\x90mkfs.fat\x00\x02\x01\x20\x00\x02", 510: "\x55\xaa"}))
	f.Add(put(34<<10, map[int]string{32769: "CD001"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := Probe(bytes.NewReader(b))
		if err != nil || info.Size < 0 || info.Block < 0 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
