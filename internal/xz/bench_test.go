package xz

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// Both decoders on the file that SLIPWAY_XZ names (a package index, a data.tar.xz).
func BenchmarkDecoders(b *testing.B) {
	name := os.Getenv("SLIPWAY_XZ")
	if name == "" {
		b.Skip("set SLIPWAY_XZ to an .xz file")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	for way, open := range map[string]func() (io.ReadCloser, error){
		"general": func() (io.ReadCloser, error) { return NewReader(bytes.NewReader(data)) },
		"ours": func() (io.ReadCloser, error) {
			blocks, err := listBlocks(bytes.NewReader(data), int64(len(data)))
			return &orderedReader{r: bytes.NewReader(data), blocks: blocks}, err
		},
	} {
		b.Run(way, func(b *testing.B) {
			for range b.N {
				r, err := open()
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
				r.Close()
			}
		})
	}
}
