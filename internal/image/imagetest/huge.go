package imagetest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/tree"
)

// HugeSize is the size of the file of Huge: one more than 32 bits hold.
const HugeSize = 4<<30 + 1

// Huge is a tree with one file of 4 GiB + 1, nearly all zeros, that is made
// while it is read. Its digest is a name only: hashing it would take longer
// than the rest of a test.
func Huge() (*tree.Manifest, tree.Content) {
	b := newTree("huge")
	b.dir(".")
	b.file("small", "small", tree.Entry{})
	b.add(tree.Entry{Path: "huge", Type: tree.File, Mode: 0o644, Size: HugeSize, Digest: hugeDigest})
	b.Manifest.Sort()
	return b.Manifest, hugeContent{b.Content}
}

var hugeDigest = tree.Digest(sha256.Sum256([]byte("huge")))

type hugeContent struct{ tree.Bytes }

func (c hugeContent) Open(d tree.Digest) (io.ReadCloser, error) {
	if d != hugeDigest {
		return c.Bytes.Open(d)
	}
	return io.NopCloser(new(hugeReader)), nil
}

// hugeStep is how far the texts in the file are apart.
const hugeStep = 256 << 20

func hugeText(step int64) string {
	if step == HugeSize/hugeStep { // there is no space for more
		return "x"
	}
	return fmt.Sprintf("step %02d of the huge file", step)
}

type hugeReader struct{ at int64 }

func (r *hugeReader) Read(b []byte) (int, error) {
	if r.at == HugeSize {
		return 0, io.EOF
	}
	step, off := r.at/hugeStep, r.at%hugeStep
	b = b[:min(int64(len(b)), HugeSize-r.at, hugeStep-off)] // not beyond the next text
	clear(b)
	if text := hugeText(step); off < int64(len(text)) {
		copy(b, text[off:])
	}
	r.at += int64(len(b))
	return len(b), nil
}

// CheckHuge looks at a copy of the file: its size, its texts and what is
// between them, here and there.
func CheckHuge(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != HugeSize {
		return fmt.Errorf("got %d bytes, %v, want %d", st.Size(), err, HugeSize)
	}
	for step := range int64(HugeSize/hugeStep + 1) {
		want := make([]byte, min(100_000, HugeSize-step*hugeStep))
		copy(want, hugeText(step))
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, step*hugeStep); err != nil {
			return err
		}
		if string(got) != string(want) {
			return fmt.Errorf("other bytes at %d", step*hugeStep)
		}
	}
	return nil
}

// RunHuge writes the tree of a file larger than 4 GiB and lets the judges
// extract it. It is left out of short tests.
func RunHuge(t *testing.T, f Format) {
	if testing.Short() {
		t.Skip("writing 4 GiB is left out of short tests")
	}
	m, c := Huge()
	name := writeFile(t, f, m, c)
	for _, j := range f.Judges {
		t.Run(j.Name, func(t *testing.T) {
			if why := j.Available(); why != "" {
				t.Skip(why)
			}
			dir := t.TempDir()
			extract(t, j, name, dir)
			if err := CheckHuge(filepath.Join(dir, "huge")); err != nil {
				t.Error(err)
			}
		})
	}
}
