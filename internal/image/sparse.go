package image

import (
	"context"
	"fmt"
	"hash"
	"io"
	"os"
)

// sparseFile writes an output file in order, with holes, and its checksum.
type sparseFile struct {
	f    *os.File
	h    hash.Hash // nil: nobody wants one
	buf  []byte
	size int64 // appended so far, the buffer and holes included
}

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

func newSparseFile(f *os.File, h hash.Hash) *sparseFile {
	return &sparseFile{f: f, h: h, buf: make([]byte, 0, 1<<20)}
}

func (s *sparseFile) Write(b []byte) (int, error) {
	if s.h != nil {
		s.h.Write(b)
	}
	s.size += int64(len(b))
	if len(s.buf)+len(b) <= cap(s.buf) {
		s.buf = append(s.buf, b...)
		return len(b), nil
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	if len(b) < cap(s.buf) {
		s.buf = append(s.buf, b...)
		return len(b), nil
	}
	return s.f.Write(b)
}

func (s *sparseFile) flush() error {
	_, err := s.f.Write(s.buf)
	s.buf = s.buf[:0]
	return err
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
	for left := n; left > 0 && s.h != nil; left -= int64(len(zeros)) {
		s.h.Write(zeros[:min(left, int64(len(zeros)))])
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
