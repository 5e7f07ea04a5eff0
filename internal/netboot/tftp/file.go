package tftp

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// File is what a name stands for while it is being sent. Reads may come from
// several goroutines, but not at once; Close is called once.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Bytes is a File in memory. The bytes must not change.
func Bytes(b []byte) File { return memory{bytes.NewReader(b)} }

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// OpenFile opens a regular file below root; links that lead out of it are
// refused. A file that is replaced meanwhile is sent as it was.
func OpenFile(root *os.Root, name string) (File, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("opening %s: no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &diskFile{f, info.Size()}, nil
}

type diskFile struct {
	*os.File
	size int64
}

func (f *diskFile) Size() int64 { return f.size }

// maxText is the longest file that is sent as text: it is converted in memory.
const maxText = 256 << 10

// netascii turns a file into the text form of RFC 1350, 1 (RFC 764): lines end
// in CR LF, and a lone CR is followed by a zero.
func netascii(f File) (File, error) {
	if f.Size() > maxText {
		return nil, fmt.Errorf("a file of %d bytes is not sent as text, only up to %d", f.Size(), maxText)
	}
	raw := make([]byte, f.Size())
	if _, err := f.ReadAt(raw, 0); err != nil && err != io.EOF {
		return nil, err
	}
	out := make([]byte, 0, len(raw)+len(raw)/16)
	for _, c := range raw {
		switch c {
		case '\n':
			out = append(out, '\r', '\n')
		case '\r':
			out = append(out, '\r', 0)
		default:
			out = append(out, c)
		}
	}
	return Bytes(out), nil
}
