package squashfs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"slipway/internal/image"
)

// spool is the temporary file in which an image is made. It has no name, so
// that it vanishes with the process.
type spool struct {
	f *os.File
	*bufio.Writer
	n int64 // bytes written: the offset in the image
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "slipway-squashfs-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file (TMPDIR names another folder for it): %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	s := &spool{f: f, Writer: bufio.NewWriterSize(f, 1<<20)}
	_, err = s.Write(make([]byte, superSize)) // comes later
	return s, err
}

func (s *spool) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	s.n += int64(n)
	if err != nil {
		err = fmt.Errorf("writing a temporary file (TMPDIR names another folder for it): %w", err)
	}
	return n, err
}

// finish writes the superblock and gives the volume.
func (s *spool) finish(sb *super) (*volume, error) {
	sb.used = uint64(s.n)
	if err := s.Flush(); err != nil {
		return nil, err
	}
	if _, err := s.f.WriteAt(sb.append(nil), 0); err != nil {
		return nil, err
	}
	return &volume{f: s.f, used: s.n, size: (s.n + padding - 1) / padding * padding}, nil
}

// volume is a finished image: used bytes of a file, padded with zeros.
type volume struct {
	f          *os.File
	used, size int64
}

var (
	_ image.Volume = (*volume)(nil)
	_ io.Closer    = (*volume)(nil)
)

// Size implements image.Volume.
func (v *volume) Size() int64 { return v.size }

// Close gives the temporary file back.
func (v *volume) Close() error { return v.f.Close() }

// Write implements image.Volume.
func (v *volume) Write(ctx context.Context, w io.Writer) error {
	buf := make([]byte, 512<<10)
	for off := int64(0); off < v.used; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), v.used-off)]
		if _, err := v.f.ReadAt(part, off); err != nil {
			return fmt.Errorf("reading the temporary file: %w", err)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return image.Hole(w, v.size-v.used)
}
