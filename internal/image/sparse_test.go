package image

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteFileKeepsHoles(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.raw")
	var want []byte
	sum, err := WriteFile(out, false, func(w io.Writer) error {
		for i := range 3 {
			part := bytes.Repeat([]byte{byte(i + 1)}, 5000*(i+1))
			if _, err := w.Write(part); err != nil {
				return err
			}
			hole := int64(2<<20 + i*1000)
			want = append(append(want, part...), make([]byte, hole)...)
			if err := Hole(w, hole); err != nil {
				return err
			}
		}
		return Hole(w, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(out)
	if !bytes.Equal(got, want) || sum != sha256.Sum256(want) {
		t.Fatal("another file than was written")
	}
	var st unix.Stat_t
	if err := unix.Stat(out, &st); err != nil || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes are allocated for 30 kB (%v)", st.Blocks*512, err)
	}
	if err := Verify(out, nil); err != nil {
		t.Error(err)
	}
}

func TestHoleInPlainWriter(t *testing.T) {
	var b bytes.Buffer
	c := &Counter{W: &b}
	if err := Hole(c, 300_000); err != nil || b.Len() != 300_000 || c.N != 300_000 {
		t.Errorf("%d bytes, counted %d, %v", b.Len(), c.N, err)
	}
}
