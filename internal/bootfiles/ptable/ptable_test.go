package ptable

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// disk is a disk in memory.
type disk struct{ b []byte }

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.b)) {
		return 0, io.EOF
	}
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) { return copy(d.b[off:], p), nil }

func find(t *testing.T, tool string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin"} {
		if _, err := os.Stat(filepath.Join(dir, tool)); err == nil {
			return filepath.Join(dir, tool)
		}
	}
	t.Skipf("no %s to make and judge tables", tool)
	return ""
}

// sgdisk makes a GPT on a disk of some MiB, and gives its bytes.
func sgdisk(t *testing.T, mib int64, args ...string) *disk {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, mib<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(find(t, "sgdisk"), append(args, file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return &disk{b}
}

const partUUID = "11111111-2222-3333-4444-555555555555"

func TestReadAndGrowGPT(t *testing.T) {
	d := sgdisk(t, 16, "-n", "1:2048:+1M", "-c", "1:first", "-n", "5:0:0", "-u", "5:"+partUUID, "-c", "5:the root", "-U", partUUID)
	tab, err := Read(d, int64(len(d.b)), 512)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := tab.Part(5)
	if !ok || tab.Scheme != "gpt" || tab.UUID != partUUID || len(tab.Parts) != 2 || p.UUID != partUUID || p.Name != "the root" || p.Start != 2<<20 {
		t.Fatalf("read %+v", tab)
	}
	if _, err := tab.Grow(d, int64(len(d.b)), 5); !errors.Is(err, ErrFull) {
		t.Errorf("growing on a disk of the same size: %v", err)
	}
	if _, err := tab.Grow(d, 32<<20, 1); err == nil || !strings.Contains(err.Error(), "partition 5 lies behind it") {
		t.Errorf("growing the first one: %v", err)
	}
	if _, err := tab.Grow(d, 32<<20, 2); err == nil {
		t.Error("growing a partition that is not there")
	}
	d.b = append(d.b, make([]byte, 16<<20)...)
	grown, err := tab.Grow(d, 32<<20, 5)
	if err != nil {
		t.Fatal(err)
	}
	if grown.Start != p.Start || grown.Start+grown.Size > 32<<20-33*512 || grown.Start+grown.Size < 31<<20 {
		t.Errorf("grown to %+v", grown)
	}
	again, err := Read(d, 32<<20, 512)
	if err != nil || again.UUID != partUUID {
		t.Fatalf("%+v, %v", again, err)
	}
	if q, _ := again.Part(5); q != grown {
		t.Errorf("read again: %+v, want %+v", q, grown)
	}
	verify(t, d)
}

// verify lets sgdisk judge a disk.
func verify(t *testing.T, d *disk) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "grown")
	if err := os.WriteFile(file, d.b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(find(t, "sgdisk"), "-v", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk says %v:\n%s", err, out)
	}
}

func TestDamagedGPT(t *testing.T) {
	d := sgdisk(t, 8, "-n", "1:2048:0")
	size := int64(len(d.b))
	d.b[512+40]++ // the first header
	tab, err := Read(d, size, 512)
	if err != nil || len(tab.Parts) != 1 {
		t.Fatalf("with a damaged header: %+v, %v", tab, err)
	}
	d.b = append(d.b, make([]byte, 8<<20)...)
	if _, err := tab.Grow(d, int64(len(d.b)), 1); err != nil {
		t.Fatal(err)
	}
	verify(t, d) // growing repaired the first copy

	d = sgdisk(t, 8, "-n", "1:2048:0")
	d.b[1024]++ // the first entries, and no word of where the backup is
	if _, err := Read(d, 0, 512); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("with damaged entries: %v", err)
	}
}

// anMBR has a partition of 2048 sectors at sector 2048.
func anMBR() *disk {
	b := make([]byte, 4<<20)
	copy(b[440:], "\x78\x56\x34\x12")
	copy(b[446+16:], "\x80\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00\x00\x08\x00\x00")
	b[510], b[511] = 0x55, 0xaa
	return &disk{b}
}

func TestMBR(t *testing.T) {
	d := anMBR()
	tab, err := Read(d, 4<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	want := Part{Number: 2, Start: 1 << 20, Size: 1 << 20, Type: "83", UUID: "12345678-02"}
	if len(tab.Parts) != 1 || tab.Parts[0] != want || tab.Scheme != "mbr" {
		t.Fatalf("got %+v, want %+v", tab.Parts, want)
	}
	p, err := tab.Grow(d, 4<<20, 2)
	if err != nil || p.Size != 3<<20 {
		t.Fatalf("grown to %+v, %v", p, err)
	}
	again, err := Read(d, 4<<20, 512)
	if err != nil || again.Parts[0] != p {
		t.Errorf("read again: %+v, %v", again, err)
	}
	if _, err := again.Grow(d, 4<<20, 2); !errors.Is(err, ErrFull) {
		t.Errorf("growing twice: %v", err)
	}
}

func TestNoTable(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, 4096), "a FAT": append(bytes.Repeat([]byte{0x41}, 510), 0x55, 0xaa),
	} {
		if _, err := Read(&disk{b}, int64(len(b)), 512); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(&disk{}, 0, 500); err == nil {
		t.Error("sectors of 500 bytes were accepted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(anMBR().b[:1024])
	header := make([]byte, 4096)
	copy(header[512:], "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
	f.Add(header)
	f.Fuzz(func(t *testing.T, b []byte) {
		// A checksum that fits lets the fuzzer reach what is behind it.
		if len(b) >= 1024 && string(b[512:520]) == "EFI PART" {
			if n := le.Uint32(b[512+hdrSize:]); n >= 92 && n <= 512 {
				le.PutUint32(b[512+hdrCRC:], headerSum(b[512:512+n]))
			}
		}
		d := &disk{append([]byte(nil), b...)}
		tab, err := Read(d, int64(len(b)), 512)
		if err != nil {
			return
		}
		for _, p := range tab.Parts {
			if p.Start < 0 || p.Size <= 0 {
				t.Errorf("impossible partition %+v", p)
			}
		}
	})
}
