package apkfile

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
)

// counter reads a gzip stream to its very end and not a byte further, so that
// it knows where the next begins.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// member is one file of a signature or control segment.
type member struct {
	name  string
	mode  uint32
	mtime int64
	data  []byte
}

// Segment is one small gzip stream and the files in it.
type Segment struct {
	Raw     []byte // as compressed
	members []member
}

// readSegment reads the stream at an offset, of at most limit bytes as
// decompressed.
func readSegment(r io.ReaderAt, size, offset, limit int64) (*Segment, error) {
	if offset >= size {
		return nil, fmt.Errorf("%w: it ends at %d", io.ErrUnexpectedEOF, size)
	}
	c := &counter{r: bufio.NewReader(io.NewSectionReader(r, offset, size-offset))}
	z, err := gzip.NewReader(c)
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %v", ErrFormat, err)
	}
	z.Multistream(false)
	plain, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if int64(len(plain)) > limit {
		return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrLimit, limit)
	}
	s := &Segment{Raw: make([]byte, c.n)}
	if _, err := r.ReadAt(s.Raw, offset); err != nil && err != io.EOF {
		return nil, err
	}
	s.members, err = readMembers(plain)
	return s, err
}

// maxMembers bounds the files of a small segment.
const maxMembers = 1000

func readMembers(plain []byte) ([]member, error) {
	var out []member
	t := tar.NewReader(bytes.NewReader(plain))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(out), err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if len(out) == maxMembers {
			return nil, fmt.Errorf("%w: more than %d files", ErrLimit, maxMembers)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		out = append(out, member{h.Name, uint32(h.Mode) & 0o7777, h.ModTime.Unix(), data})
	}
}

// isSignature tells a segment of signatures from one of control.
func (s *Segment) isSignature() bool {
	return len(s.members) > 0 && strings.HasPrefix(s.members[0].name, ".SIGN.")
}

// find returns the content of a file.
func (s *Segment) find(name string) ([]byte, bool) {
	for _, m := range s.members {
		if m.name == name {
			return m.data, true
		}
	}
	return nil, false
}

// adb is how packages and indexes of format 3 begin.
var adb = []byte("ADB")

// ReadSigned reads the signatures that begin a package or an index, if there
// are any, and tells where they end.
func ReadSigned(r io.ReaderAt, size int64) (*Segment, int64, error) {
	begin := make([]byte, 3)
	if _, err := r.ReadAt(begin, 0); err == nil && bytes.Equal(begin, adb) {
		return nil, 0, fmt.Errorf("%w: it is of format 3 (ADB)", ErrFormat)
	}
	s, err := readSegment(r, size, 0, DefaultLimits.Control)
	if err != nil {
		return nil, 0, err
	}
	if !s.isSignature() {
		return nil, 0, nil
	}
	return s, int64(len(s.Raw)), nil
}
