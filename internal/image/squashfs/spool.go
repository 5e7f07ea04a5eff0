package squashfs

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// spool is where an image is made: a temporary file, which has no name so that
// it vanishes with the process, or the output itself if that can be patched.
type spool struct {
	*bufio.Writer
	n    int64       // bytes written: the offset in the image
	at   io.WriterAt // what is written to
	base int64       // where the image begins in it
	temp *os.File    // nil when it is the output itself
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "slipway-squashfs-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w (TMPDIR names another folder for it)", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	s := &spool{Writer: bufio.NewWriterSize(tempWriter{f}, 1<<20), at: f, temp: f}
	_, err = s.Write(make([]byte, superSize)) // comes later
	return s, err
}

// tempWriter tells that it is not the output that is full.
type tempWriter struct{ f *os.File }

func (w tempWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = fmt.Errorf("writing a temporary file: %w (TMPDIR names another folder for it)", err)
	}
	return n, err
}

// direct gives a spool that is the output itself, or nil when the output
// cannot be patched: pipes, and files that only append, fail here.
func direct(w io.Writer) *spool {
	f, ok := w.(interface {
		io.WriteSeeker
		io.WriterAt
	})
	if !ok {
		return nil
	}
	base, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	if _, err := f.WriteAt(make([]byte, superSize), base); err != nil {
		return nil
	}
	if _, err := f.Seek(base+superSize, io.SeekStart); err != nil {
		return nil
	}
	return &spool{Writer: bufio.NewWriterSize(w, 1<<20), n: superSize, at: f, base: base}
}

func (s *spool) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	s.n += int64(n)
	return n, err
}

// finish writes the superblock and gives the size of the image with padding.
func (s *spool) finish(sb *super) (size int64, err error) {
	sb.used = uint64(s.n)
	if err := s.Flush(); err != nil {
		return 0, err
	}
	_, err = s.at.WriteAt(sb.append(nil), s.base)
	return (s.n + padding - 1) / padding * padding, err
}

// close gives the temporary file back.
func (s *spool) close() {
	if s.temp != nil {
		s.temp.Close()
	}
}
