package metal

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An image on a larger disk has its second table at the disk's end, as the
// foreign tools want it.
func TestImageFileOnLargerDisk(t *testing.T) {
	img := filepath.Join(t.TempDir(), "x.raw")
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 32<<20); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sfdisk", "-q", img)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=4MiB, name=first\nsize=20MiB, name=root\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("sfdisk: %v %s", err, out)
	}
	f, _ := os.OpenFile(img, os.O_RDWR, 0)
	f.WriteAt([]byte("inside"), 6<<20)
	f.Close()
	d := fileDisk(t, 100<<20)
	v, err := ImageFile(img, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	if v.Size() != 100<<20 {
		t.Errorf("the volume has %d bytes", v.Size())
	}
	var done, total int64
	progress := func(stage string, d, of int64) {
		if stage == "write" {
			done, total = d, of
		}
	}
	if err := d.Write(t.Context(), v, WriteOptions{What: "x.raw", Progress: progress}); err != nil {
		t.Fatal(err)
	}
	if total > 33<<20 || done != total {
		t.Errorf("%d of %d bytes: what is skipped is no work", done, total)
	}
	b, _ := os.ReadFile(d.Path)
	if !bytes.Equal(b[6<<20:6<<20+6], []byte("inside")) {
		t.Error("the content did not arrive")
	}
	if out, err := exec.Command("sgdisk", "-v", d.Path).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk: %v %s", err, out)
	}
	small, err := ImageFile(img, 1<<20)
	if err != nil || small.Size() != 32<<20 { // the disk refuses it by its size
		t.Errorf("%v", err)
	}
}
