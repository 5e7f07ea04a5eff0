package image

import (
	"context"
	"fmt"
	"hash"
	"io"
	"os"
)

// sparseFile writes an output file in order, with holes, and its checksum. The
// checksum is added up beside the writing, because a large image is mostly
// zeros that cost nothing else.
type sparseFile struct {
	f    *os.File
	sum  *summer // nil: nobody wants a checksum
	buf  []byte
	size int64 // appended so far, the buffer and holes included
}

// bufferSize is how much is written at once.
const bufferSize = 1 << 20

// Sparse writes a volume into an empty file, its zeros as holes. The file is
// neither synced nor closed, and nobody adds up its checksum.
func Sparse(ctx context.Context, f *os.File, v Volume) error {
	w := newSparseFile(f, nil)
	if err := v.Write(ctx, w); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if w.size != v.Size() {
		return fmt.Errorf("the volume has %d bytes, and %d were written", v.Size(), w.size)
	}
	return nil
}

// newSparseFile writes to f. With a hash, close must be called in any case; the
// hash is complete then.
func newSparseFile(f *os.File, h hash.Hash) *sparseFile {
	s := &sparseFile{f: f}
	if h != nil {
		s.sum = newSummer(h)
	}
	s.buf = s.fresh()
	return s
}

func (s *sparseFile) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		k := min(len(b), cap(s.buf)-len(s.buf))
		s.buf = append(s.buf, b[:k]...)
		s.size += int64(k)
		b = b[k:]
		if len(s.buf) == cap(s.buf) {
			if err := s.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

// flush writes the buffer. The summer keeps it until it is added up.
func (s *sparseFile) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.f.Write(s.buf)
	if s.sum == nil {
		s.buf = s.buf[:0]
		return err
	}
	s.sum.jobs <- sumJob{data: s.buf}
	s.buf = s.fresh()
	return err
}

func (s *sparseFile) fresh() []byte {
	if s.sum != nil {
		select {
		case b := <-s.sum.free:
			return b[:0]
		default:
		}
	}
	return make([]byte, 0, bufferSize)
}

// Hole implements Holer.
func (s *sparseFile) Hole(n int64) error {
	if n < 0 {
		return fmt.Errorf("a hole of %d bytes", n)
	}
	if n < 4096 { // no file system keeps such a hole
		_, err := s.Write(zeros[:n])
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if s.sum != nil {
		s.sum.jobs <- sumJob{zeros: n}
	}
	s.size += n
	_, err := s.f.Seek(n, io.SeekCurrent)
	return err
}

// finish writes what is buffered and makes a hole at the end part of the file.
func (s *sparseFile) finish() error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.f.Truncate(s.size)
}

// close waits for the checksum.
func (s *sparseFile) close() {
	if s.sum != nil {
		s.sum.close()
	}
}

// summer adds up a checksum in a goroutine of its own.
type summer struct {
	jobs chan sumJob
	free chan []byte // buffers to be used again
	done chan struct{}
}

// sumJob is some bytes, or a number of zeros.
type sumJob struct {
	data  []byte
	zeros int64
}

func newSummer(h hash.Hash) *summer {
	s := &summer{jobs: make(chan sumJob, 8), free: make(chan []byte, 8), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for j := range s.jobs {
			h.Write(j.data)
			for left := j.zeros; left > 0; left -= int64(len(zeros)) {
				h.Write(zeros[:min(left, int64(len(zeros)))])
			}
			if j.data == nil {
				continue
			}
			select {
			case s.free <- j.data:
			default:
			}
		}
	}()
	return s
}

func (s *summer) close() {
	close(s.jobs)
	<-s.done
}
