package cpio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"slipway/internal/image/compress"
	"slipway/internal/tree"
)

// content reads contents out of the archive again.
type content struct {
	path  string
	spans map[tree.Digest]span
}

type section struct {
	io.Reader
	z io.Closer
	f *os.File
}

func (s section) Close() error { return errors.Join(s.z.Close(), s.f.Close()) }

// Open implements tree.Content. The bytes were hashed by Read.
func (c content) Open(d tree.Digest) (io.ReadCloser, error) {
	at, ok := c.spans[d]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d, tree.ErrNoContent)
	}
	f, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	z, err := compress.Reader(f)
	if err == nil {
		_, err = io.CopyN(io.Discard, z, at.off)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", c.path, err)
	}
	return section{io.LimitReader(z, at.size), z, f}, nil
}
