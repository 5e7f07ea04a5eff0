package vfat

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// allowed takes away what a FAT refuses, so that the rest of the kit's trees
// can be written.
func allowed(m *tree.Manifest) {
	kept := m.Entries[:0:0]
	for _, e := range m.Entries {
		base := e.Path[strings.LastIndexByte(e.Path, '/')+1:]
		if (e.Type == tree.File || e.Type == tree.Dir) && (e.Path == "." || checkName(base) == nil) {
			kept = append(kept, e)
		}
	}
	m.Entries = kept
}

type kitWriter struct{}

func (kitWriter) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	kept := &tree.Manifest{Entries: m.Entries}
	if kept.Validate() == nil {
		allowed(kept)
	}
	return Writer{}.Write(ctx, w, kept, c, opt)
}

// lost is what a FAT does not keep.
func lost(m *tree.Manifest) {
	allowed(m)
	for i := range m.Entries {
		e := &m.Entries[i]
		mode := uint32(0o644)
		if e.Type == tree.Dir {
			mode = 0o755
		}
		*e = tree.Entry{Path: e.Path, Type: e.Type, Mode: mode, Size: e.Size, Digest: e.Digest, MTime: newStamp(e.MTime).unix()}
		if e.Path == "." {
			e.MTime = 0
		}
	}
}

func readBack(path string) (*tree.Manifest, tree.Content, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	m, c := &tree.Manifest{}, tree.Bytes{}
	err = fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e := tree.Entry{Path: p, Type: tree.Dir, Mode: 0o755}
		st, _ := d.Info()
		if p != "." {
			e.MTime = st.ModTime().Unix()
		}
		if !d.IsDir() {
			b, err := fs.ReadFile(f, p)
			if err != nil {
				return err
			}
			e.Type, e.Mode, e.Size, e.Digest = tree.File, 0o644, st.Size(), c.Add(b)
		}
		m.Entries = append(m.Entries, e)
		return nil
	})
	m.Sort()
	return m, c, err
}

func TestConformance(t *testing.T) {
	imagetest.Run(t, imagetest.Format{Writer: kitWriter{}, Suffix: ".vfat", Read: readBack, Lost: lost})
}

func FuzzOpen(f *testing.F) {
	m, c := esp()
	m.Entries = m.Entries[:12]
	for _, sector := range []int{512, 4096} {
		v, err := Plan(context.Background(), &tree.Manifest{Entries: m.Entries[:4]}, c, image.VolumeOptions{Sector: sector, Label: "x"})
		if err != nil {
			f.Fatal(err)
		}
		var out bytes.Buffer
		v.Write(context.Background(), &out)
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		budget := int64(1 << 20)
		fs.WalkDir(v, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // names that are no path in Go
			}
			if file, err := v.Open(p); err == nil && !d.IsDir() && budget > 0 {
				n, _ := io.Copy(io.Discard, io.LimitReader(file, budget))
				budget -= n
			}
			return nil
		})
	})
}
