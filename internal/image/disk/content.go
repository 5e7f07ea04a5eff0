package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
)

// Bytes is content in memory.
type Bytes []byte

var _ image.Volume = Bytes(nil)

// Size implements image.Volume.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Write implements image.Volume.
func (b Bytes) Write(_ context.Context, w io.Writer) error {
	_, err := w.Write(b)
	return err
}

// File is the content of a file on the host but for Skip bytes at its start,
// opened when it is written. It must not change after OpenFile.
type File struct {
	path string
	skip int64
	size int64
}

var _ image.Volume = (*File)(nil)

// OpenFile looks at a file for a raw partition or a blob.
func OpenFile(path string, skip int64) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading raw content: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading raw content: %s is no regular file", path)
	}
	if skip < 0 || skip > st.Size() {
		return nil, fmt.Errorf("reading raw content: %s has %d bytes, and %d are to be skipped", path, st.Size(), skip)
	}
	return &File{path, skip, st.Size() - skip}, nil
}

// Size implements image.Volume.
func (f *File) Size() int64 { return f.size }

// Write implements image.Volume.
func (f *File) Write(ctx context.Context, w io.Writer) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	out, end := &image.Counter{W: w}, f.skip+f.size
	for at := f.skip; at < end; {
		start, stop := extent(r, at, end)
		if err := image.Hole(out, start-at); err != nil {
			return err
		}
		if err := copyHoles(ctx, out, io.NewSectionReader(r, start, stop-start), stop-start); err != nil {
			return err
		}
		at = stop
	}
	return nil
}

// extent is the next stretch of a file that may have data, from at on. Where
// holes cannot be told it is all of it.
func extent(f *os.File, at, end int64) (start, stop int64) {
	start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if err == unix.ENXIO { // none any more
		return end, end
	}
	if err != nil {
		return at, end
	}
	stop, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
	if err != nil || stop <= start {
		return min(start, end), end
	}
	return min(start, end), min(stop, end)
}

// copyHoles copies exactly size bytes, zeros as holes.
func copyHoles(ctx context.Context, w io.Writer, r io.Reader, size int64) error {
	buf := make([]byte, 64<<10)
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(size, int64(len(buf)))]
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		var err error
		if zero(b) {
			err = image.Hole(w, int64(len(b)))
		} else {
			_, err = w.Write(b)
		}
		if err != nil {
			return err
		}
		size -= int64(len(b))
	}
	return nil
}

func zero(b []byte) bool { return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }

// swap is the header of a swap area of pages of 4096 bytes: linux/swap.h,
// union swap_header.
type swap struct {
	Bytes
	size int64
}

const page = 4096

// newSwap makes an empty swap area.
func newSwap(size int64, id [16]byte, label string) (image.Volume, error) {
	if size < 10*page {
		return nil, fmt.Errorf("%d bytes are too few to swap to", size)
	}
	b := make([]byte, page)
	binary.LittleEndian.PutUint32(b[1024:], 1) // version
	binary.LittleEndian.PutUint32(b[1028:], uint32(min(size/page-1, 1<<32-1)))
	copy(b[1036:1052], id[:])
	copy(b[1052:1068], label)
	copy(b[page-10:], "SWAPSPACE2")
	return swap{b, size}, nil
}

// Size implements image.Volume.
func (s swap) Size() int64 { return s.size }

// Write implements image.Volume.
func (s swap) Write(ctx context.Context, w io.Writer) error {
	if err := s.Bytes.Write(ctx, w); err != nil {
		return err
	}
	return image.Skip(w, s.size-page)
}
