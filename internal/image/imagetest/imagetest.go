// Package imagetest is the conformance kit of image writers: the same trees,
// the same demands and foreign programs as judges for every format. A
// writer's own test is a Format and one call of Run.
package imagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Format is one format under test.
type Format struct {
	Writer image.Writer
	Suffix string // of the files that judges see

	// Read is our own reader; nil when there is none.
	Read func(path string) (*tree.Manifest, tree.Content, error)
	// Judges are foreign programs that read the format.
	Judges []Judge
	// Lost takes away from a manifest what the format cannot hold.
	Lost func(*tree.Manifest)
}

// Judge is a foreign program. It gets an image and an empty folder, and
// extracts the one into the other; what it made is compared with the tree.
type Judge struct {
	Name    string // for reports
	Extract func(image, dir string) error
	// Release undoes what Extract did when that was, for example, a mount; nil
	// when there is nothing to undo.
	Release func(dir string) error
	// Available tells why the judge cannot be asked; empty when it can.
	Available func() string
	// Lost takes away what this judge does not restore.
	Lost func(*tree.Manifest)
}

// Run puts a format to all tests.
func Run(t *testing.T, f Format) {
	for _, tr := range Trees() {
		t.Run(tr.Name, func(t *testing.T) { RunTree(t, f, tr.Manifest, tr.Content) })
	}
	t.Run("deterministic", func(t *testing.T) { deterministic(t, f) })
	t.Run("epoch", func(t *testing.T) { epoch(t, f) })
	t.Run("errors", func(t *testing.T) { failures(t, f) })
}

// RunTree writes one tree, reads it back and asks the judges.
func RunTree(t *testing.T, f Format, m *tree.Manifest, c tree.Content) {
	name := writeFile(t, f, m, c)
	want := without(m, f.Lost)
	if f.Read != nil {
		checkReader(t, f, name, want)
	}
	for _, j := range f.Judges {
		t.Run(j.Name, func(t *testing.T) { ask(t, j, name, want) })
	}
}

func writeFile(t *testing.T, f Format, m *tree.Manifest, c tree.Content) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "image"+f.Suffix)
	if _, err := image.WriteFile(name, false, func(w io.Writer) error {
		return f.Writer.Write(context.Background(), w, m, c, image.Options{})
	}); err != nil {
		t.Fatal(err)
	}
	return name
}

// without copies a manifest and takes things away; sockets always.
func without(m *tree.Manifest, lost func(*tree.Manifest)) *tree.Manifest {
	out := new(tree.Manifest)
	for _, e := range m.Entries {
		if e.Type != tree.Socket {
			out.Entries = append(out.Entries, e)
		}
	}
	if lost != nil {
		lost(out)
	}
	return out
}

func checkReader(t *testing.T, f Format, name string, want *tree.Manifest) {
	t.Helper()
	got, gotContent, err := f.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("read back: (-written +read)\n%s", d)
	}
	for i := range want.Entries {
		e := &want.Entries[i]
		if e.Type != tree.File || i%50 > 8 || i > 1000 { // a few of many
			continue
		}
		if got := digest(t, gotContent, e.Digest); got != e.Digest {
			t.Errorf("content of %q is another", e.Path)
		}
	}
}

// digest reads a content.
func digest(t *testing.T, c tree.Content, d tree.Digest) (got tree.Digest) {
	t.Helper()
	r, err := c.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	h.Sum(got[:0])
	return got
}

// extract lets a judge extract until the test ends.
func extract(t *testing.T, j Judge, name, dir string) {
	t.Helper()
	if err := j.Extract(name, dir); err != nil {
		t.Fatal(err)
	}
	if j.Release != nil {
		t.Cleanup(func() { // before the folder is removed: it was made earlier
			if err := j.Release(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// ask lets a judge extract, and compares what lies on the disk.
func ask(t *testing.T, j Judge, name string, want *tree.Manifest) {
	if why := j.Available(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	disk := onDisk(dir)
	want = without(without(want, disk), j.Lost)
	extract(t, j, name, dir)
	got, err := tree.Scan(context.Background(), dir, tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got = without(without(got, disk), j.Lost)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("extracted: (-written +extracted)\n%s", d)
	}
}

func write(t *testing.T, f Format, tr Tree, opt image.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Writer.Write(context.Background(), &b, tr.Manifest, tr.Content, opt); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// deterministic writes the same tree with different numbers of CPUs.
func deterministic(t *testing.T, f Format) {
	tr := Compressible()
	var first [sha256.Size]byte
	for i, n := range []int{1, 2, 7, 1} {
		old := runtime.GOMAXPROCS(n)
		sum := sha256.Sum256(write(t, f, tr, image.Options{}))
		runtime.GOMAXPROCS(old)
		if i == 0 {
			first = sum
		} else if sum != first {
			t.Errorf("other bytes with %d CPUs", n)
		}
	}
}

// epoch demands that clamping in the writer equals a clamped manifest.
func epoch(t *testing.T, f Format) {
	tr := Trees()[0]
	a := write(t, f, tr, image.Options{Epoch: 1000})
	for i := range tr.Manifest.Entries {
		if e := &tr.Manifest.Entries[i]; e.MTime >= 1000 {
			e.MTime, e.MNsec = 1000, 0
		}
	}
	if !bytes.Equal(a, write(t, f, tr, image.Options{Epoch: 1000})) { // a format may hold the epoch itself
		t.Error("clamping in the writer differs from a clamped manifest")
	}
}

var errFull = errors.New("full")

type limited struct{ left int }

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func failures(t *testing.T, f Format) {
	tr := Compressible()
	if err := f.Writer.Write(context.Background(), &limited{left: 1000}, tr.Manifest, tr.Content, image.Options{}); !errors.Is(err, errFull) {
		t.Errorf("full output: got error %v", err)
	}
	if err := f.Writer.Write(context.Background(), io.Discard, tr.Manifest, tree.Bytes{}, image.Options{}); !errors.Is(err, tree.ErrNoContent) {
		t.Errorf("missing content: got error %v", err)
	}
	short := tree.Bytes{}
	for i := range tr.Manifest.Entries {
		if e := &tr.Manifest.Entries[i]; e.Type == tree.File {
			short[e.Digest] = []byte("x")
		}
	}
	if f.Writer.Write(context.Background(), io.Discard, tr.Manifest, short, image.Options{}) == nil {
		t.Error("content that is too short is no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Writer.Write(ctx, io.Discard, tr.Manifest, tr.Content, image.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
	bad := &tree.Manifest{Entries: []tree.Entry{{Path: "../x", Type: tree.Dir}}}
	if f.Writer.Write(context.Background(), io.Discard, bad, tr.Content, image.Options{}) == nil {
		t.Error("an invalid manifest is no error")
	}
	runtime.Gosched()
	if _, err := os.Stat("../x"); err == nil {
		t.Error("something was written where it must not")
	}
}
