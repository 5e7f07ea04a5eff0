package apkfile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"

	"slipway/internal/distro/archived"
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
	plain := archived.Bound(z, i.size-i.data, c.limits.Total, c.limits.Ratio, ErrLimit)
	if err := archived.Each(ctx, plain, c.limits.Entries, ErrLimit, c.entry); err != nil {
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
