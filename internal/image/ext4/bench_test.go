package ext4

import (
	"context"
	"fmt"
	"io"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// discard takes holes for nothing.
type discard struct{ io.Writer }

func (discard) Hole(int64) error { return nil }

// bulk is a tree of n files of a size each, 100 to a folder.
func bulk(n int, size int64) (*tree.Manifest, tree.Content) {
	m, c := &tree.Manifest{}, tree.Bytes{}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	d := c.Add(data)
	m.Entries = append(m.Entries, tree.Entry{Path: ".", Type: tree.Dir, Mode: 0o755})
	for i := range n {
		if i%100 == 0 {
			m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("d%05d", i/100), Type: tree.Dir, Mode: 0o755})
		}
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("d%05d/file-%d", i/100, i%100), Type: tree.File, Mode: 0o644, Size: size, Digest: d})
	}
	m.Sort()
	return m, c
}

func benchmarkBulk(b *testing.B, n int, size int64) {
	m, c := bulk(n, size)
	b.SetBytes(int64(n) * size)
	b.ReportAllocs()
	for b.Loop() {
		v, err := Plan(context.Background(), m, c, image.VolumeOptions{})
		if err == nil {
			err = v.Write(context.Background(), discard{io.Discard})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkManySmall(b *testing.B) { benchmarkBulk(b, 20_000, 5000) }
func BenchmarkFewLarge(b *testing.B)  { benchmarkBulk(b, 20, 16<<20) }
func BenchmarkMillion(b *testing.B)   { benchmarkBulk(b, 1_000_000, 10) }
