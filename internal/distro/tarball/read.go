package tarball

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"slipway/internal/distro/archived"
	"slipway/internal/store"
	"slipway/internal/tree"
	"slipway/internal/xz"
)

// Sink takes the archive's members in their order; it is the store's
// PackWriter in all but tests.
type Sink interface {
	Add(e tree.Entry, content io.Reader) error
}

// ToPack makes the pack of an archive, named by the archive's SHA-256, which
// the caller has verified. Nothing is visible in the store before the whole
// archive was read.
func ToPack(ctx context.Context, s *store.Store, path, digest string) error {
	w, err := s.NewPackWriter(digest)
	if err != nil {
		return err
	}
	if err := readFileTo(ctx, path, w); err != nil {
		w.Abort()
		return err
	}
	return w.Commit()
}

func readFileTo(ctx context.Context, path string, sink Sink) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return Read(ctx, f, st.Size(), sink, Limits{})
}

// Read reads a whole archive into a sink. After an error the sink holds a part
// of it and must be thrown away.
func Read(ctx context.Context, r io.ReaderAt, size int64, sink Sink, limits Limits) error {
	limits = limits.Or(DefaultLimits)
	z, err := decompress(r, size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	defer z.Close()
	plain := archived.Bound(z, size, limits.Total, limits.Ratio, ErrLimit)
	c := newConverter(sink, limits)
	t := tar.NewReader(plain)
	for end := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if err == io.EOF {
			if plain.N < end+tarBlock {
				return fmt.Errorf("%w: it is cut short after %d members: the mark at its end is missing", ErrFormat, c.n)
			}
			break
		}
		if err == nil {
			if end = plain.N; h.Typeflag == tar.TypeReg {
				end += (h.Size + tarBlock - 1) / tarBlock * tarBlock
			}
			err = c.member(h, t)
		}
		if err != nil {
			return explain(c.n, err)
		}
	}
	if _, err := io.Copy(io.Discard, plain); err != nil { // to the compression's own checksum
		return explain(c.n, err)
	}
	return c.finish()
}

// tarBlock is the unit of an archive, in bytes; one of zeros marks its end.
const tarBlock = 512

// explain says where an archive is broken; what this package found is said by
// its name already.
func explain(n int, err error) error {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrLimit) {
		return err
	}
	return fmt.Errorf("%w: after %d members: %w", ErrFormat, n, err)
}

// inputBuffer is the size of reads from an archive, in bytes.
const inputBuffer = 128 << 10

// zstdWindow bounds the memory that an archive can ask for: what
// "zstd --ultra -22" uses.
const zstdWindow = 128 << 20

// decompress tells the compression by the first bytes: names are what people
// make of them.
func decompress(r io.ReaderAt, size int64) (io.ReadCloser, error) {
	section := io.NewSectionReader(r, 0, size)
	in := bufio.NewReaderSize(section, inputBuffer)
	head, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(in)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return xz.NewParallelReader(io.NewSectionReader(r, 0, size), size)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return nil, errors.New("it is compressed with bzip2; compress it with xz, zstd or gzip")
	}
	return io.NopCloser(in), nil
}
