package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"

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
	return copyHoles(ctx, w, io.NewSectionReader(r, f.skip, f.size), f.size)
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
	return image.Hole(w, s.size-page)
}
