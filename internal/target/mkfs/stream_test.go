package mkfs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// What is written for the machine is what it reads.
func TestTreeDisk(t *testing.T) {
	for _, tr := range append(imagetest.Trees(), imagetest.Sparse(), imagetest.Compressible()) {
		t.Run(tr.Name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "tree"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := writeTree(t.Context(), f, tr.Manifest, tr.Content); err != nil {
				t.Fatal(err)
			}
			st, err := f.Stat()
			if err != nil || st.Size()%streamSector != 0 {
				t.Fatalf("%d bytes, %v", st.Size(), err)
			}
			got, err := openTree(f, st.Size())
			if err != nil {
				t.Fatal(err)
			}
			if got.manifest.Digest() != tr.Manifest.Digest() {
				t.Error("the manifest is another")
			}
			for _, e := range tr.Manifest.Entries {
				if e.Type == tree.File {
					checkContent(t, got, e.Digest, tr.Content[e.Digest])
				}
			}
			if _, err := got.Open(tree.Digest{1}); !errors.Is(err, tree.ErrNoContent) {
				t.Errorf("a content that is not there: %v", err)
			}
		})
	}
}

func checkContent(t *testing.T, d *treeDisk, digest tree.Digest, want []byte) {
	t.Helper()
	r, err := d.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, want) {
		t.Errorf("content %s: %d bytes, %v; want %d", digest, len(b), err, len(want))
	}
	if len(want) == 0 {
		return
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.CopyTo(digest, f); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(b, want) {
		t.Errorf("copy of %s: %d bytes, %v; want %d", digest, len(b), err, len(want))
	}
}

func TestTreeDiskErrors(t *testing.T) {
	m := folders()
	m.Entries = append(m.Entries, tree.Entry{Path: "a", Type: tree.File, Size: 3, Digest: tree.Digest{1}})
	for _, c := range []tree.Bytes{{}, {tree.Digest{1}: []byte("four")}} {
		f, err := os.Create(filepath.Join(t.TempDir(), "tree"))
		if err != nil {
			t.Fatal(err)
		}
		if err := writeTree(t.Context(), f, m, c); err == nil {
			t.Errorf("contents %q are no error", c)
		}
		f.Close()
	}
}

func FuzzOpenTree(f *testing.F) {

	name := filepath.Join(f.TempDir(), "tree")
	file, err := os.Create(name)
	if err != nil {
		f.Fatal(err)
	}
	tr := imagetest.Trees()[0]
	if err := writeTree(f.Context(), file, tr.Manifest, tr.Content); err != nil {
		f.Fatal(err)
	}
	file.Close()
	data, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte(streamMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := openTree(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for digest := range d.rows {
			r, err := d.Open(digest)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r)
		}
	})
}
