package image

import (
	"fmt"
	"hash"
	"io"
	"os"
)

// sparseFile writes an output file in order, with holes, and its checksum.
type sparseFile struct {
	f    *os.File
	h    hash.Hash
	buf  []byte
	size int64 // appended so far, the buffer and holes included
}

func newSparseFile(f *os.File, h hash.Hash) *sparseFile {
	return &sparseFile{f: f, h: h, buf: make([]byte, 0, 1<<20)}
}

func (s *sparseFile) Write(b []byte) (int, error) {
	s.h.Write(b)
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
	for left := n; left > 0; left -= int64(len(zeros)) {
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
