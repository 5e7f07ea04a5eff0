package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/tree"
)

// Writing the files of a pack of 8000 entries: hashed before, as after opening
// it anew, and only copied, as in the run that wrote it.
func BenchmarkPackMaterialise(b *testing.B) {
	const files, size = 8000, 24 << 10
	s := open(b)
	w, err := s.NewPackWriter(digest("bench"))
	if err != nil {
		b.Fatal(err)
	}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for i := range files {
		data := bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), size/8)
		if err := w.Add(tree.Entry{Path: fmt.Sprintf("f%05d", i), Type: tree.File, Mode: 0o644, Size: size}, bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		m.Entries = append(m.Entries, w.Last())
	}
	if err := w.Commit(); err != nil {
		b.Fatal(err)
	}
	for _, trusted := range []bool{false, true} {
		b.Run(fmt.Sprintf("trusted=%v", trusted), func(b *testing.B) {
			b.SetBytes(files * size)
			base := b.TempDir()
			for i := 0; b.Loop(); i++ {
				p, err := s.OpenPack(digest("bench"))
				if err != nil {
					b.Fatal(err)
				}
				if trusted {
					p.Trust()
				}
				x := &contentIndex{at: make(map[tree.Digest]packed)}
				x.add(p)
				l := &Layer{s: s, index: func() (*contentIndex, error) { return x, nil }}
				dir := filepath.Join(base, fmt.Sprint(i))
				os.Mkdir(dir, 0o700)
				if err := tree.Materialise(ctx, dir, m, l.Content(), tree.MaterialiseOptions{NoOwners: true}); err != nil {
					b.Fatal(err)
				}
				p.Close()
			}
		})
	}
}
