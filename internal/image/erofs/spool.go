package erofs

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// spool is a temporary file without a name for compressed contents. It is gone
// when the process ends, and when nothing refers to it any more.
type spool struct {
	f *os.File
	w *bufio.Writer
	n int64 // bytes in it
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "slipway-erofs-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return &spool{f: f, w: bufio.NewWriterSize(f, 1<<20)}, nil
}

func (s *spool) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	if err != nil {
		err = fmt.Errorf("%w (set TMPDIR to a folder with more space)", err)
	}
	return n, err
}

// rewind forgets what was written behind n.
func (s *spool) rewind(n int64) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	s.n = n
	_, err := s.f.Seek(n, io.SeekStart)
	return err
}

// section reads a part of it; nothing is written any more.
func (s *spool) section(off, size int64) io.Reader { return io.NewSectionReader(s.f, off, size) }
