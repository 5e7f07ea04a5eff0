package apkfile

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var decoders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// readData reads the data stream to its very end and compares its hash.
func (i *Info) readData(ctx context.Context, r io.ReaderAt, c *converter) error {
	if i.DataHash == nil {
		return fmt.Errorf("%w: the control has no datahash: it was made by a tool older than 2010", ErrFormat)
	}
	if i.data == i.size && i.InstalledSize == 0 {
		return nil
	}
	h := sha256.New()
	section := io.NewSectionReader(r, i.data, i.size-i.data)
	in := bufio.NewReaderSize(&tap{section, h}, 128<<10)
	z := decoders.Get().(*gzip.Reader)
	defer decoders.Put(z)
	if err := z.Reset(in); err != nil {
		return fmt.Errorf("%w: gzip: %v", ErrFormat, err)
	}
	plain := &bounded{r: z, left: c.limits.allowed(i.size - i.data)}
	if err := entries(ctx, plain, c); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // what a decoder leaves is hashed too
		return err
	}
	if got := h.Sum(nil); !bytes.Equal(got, i.DataHash) {
		return fmt.Errorf("%w: its SHA-256 is %x, the control says %x", ErrMismatch, got, i.DataHash)
	}
	return nil
}

// CheckData compares the hash of the data stream with what the control says,
// without decompressing it.
func (i *Info) CheckData(r io.ReaderAt) error {
	if i.DataHash == nil {
		return fmt.Errorf("%w: the control has no datahash", ErrFormat)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, i.data, i.size-i.data)); err != nil {
		return err
	}
	if got := h.Sum(nil); !bytes.Equal(got, i.DataHash) {
		return fmt.Errorf("%w: the SHA-256 of its data is %x, the control says %x", ErrMismatch, got, i.DataHash)
	}
	return nil
}

// tap hashes what is read.
type tap struct {
	r io.Reader
	h hash.Hash
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.h.Write(p[:n])
	return n, err
}

// entries calls the converter for each entry, and reads to the end.
func entries(ctx context.Context, plain io.Reader, c *converter) error {
	t := tar.NewReader(plain)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if n >= c.limits.Entries {
			return fmt.Errorf("%w: more than %d entries", ErrLimit, c.limits.Entries)
		}
		if err := c.entry(h, t); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, plain)
	return err
}

// allowed is how many bytes a stream of that size may become.
func (l Limits) allowed(compressed int64) int64 {
	const free = 64 << 20 // the ratio does not matter below this
	if compressed < (1<<62)/l.Ratio {
		return min(l.Total, free+compressed*l.Ratio)
	}
	return l.Total
}

// bounded fails a read past a number of bytes, so that a small stream cannot
// become a large one unnoticed.
type bounded struct {
	r    io.Reader
	left int64
}

var errBomb = errors.New("it unpacks to far more than its size")

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: %w", ErrLimit, errBomb)
	}
	return n, err
}
