package debfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arEnd        = "`\n"
)

// member is one member of an ar archive. Its content is a section of the file.
type member struct {
	name   string
	size   int64
	offset int64
}

// readMember decodes the ar header at off (deb(5): the common format with
// names of up to 15 characters, padded with spaces, perhaps a slash). It
// returns io.EOF when the archive ends there.
func readMember(r io.ReaderAt, off, size int64) (member, error) {
	if off >= size {
		return member{}, io.EOF
	}
	var h [arHeaderSize]byte
	if n, err := r.ReadAt(h[:], off); n < len(h) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return member{}, fmt.Errorf("ar header at %#x: %w", off, err)
	}
	if string(h[58:]) != arEnd {
		return member{}, fmt.Errorf("%w: ar header at %#x ends with %q, want %q", ErrFormat, off, h[58:], arEnd)
	}
	m := member{
		name:   strings.TrimSuffix(string(bytes.TrimRight(h[:16], " ")), "/"),
		offset: off + arHeaderSize,
	}
	var err error
	m.size, err = strconv.ParseInt(string(bytes.TrimRight(h[48:58], " ")), 10, 64)
	if err != nil || m.size < 0 {
		return member{}, fmt.Errorf("%w: ar header at %#x: size %q", ErrFormat, off, h[48:58])
	}
	if m.size > size-m.offset {
		return member{}, fmt.Errorf("member %q: %w: it claims %d bytes, %d are left", m.name, io.ErrUnexpectedEOF, m.size, size-m.offset)
	}
	return m, nil
}

// next is where the header after m is: members are padded to even offsets.
func (m member) next() int64 { return m.offset + m.size + m.size&1 }

// layout is what deb(5) wants in a package: the version, then the control
// archive, then the data archive. Members that start with "_" are ignored.
type layout struct {
	control, data member
}

func readLayout(r io.ReaderAt, size int64) (layout, error) {
	var l layout
	var magic [len(arMagic)]byte
	if n, err := r.ReadAt(magic[:], 0); n < len(magic) && err != nil && !errors.Is(err, io.EOF) {
		return l, err
	}
	if string(magic[:]) != arMagic {
		return l, fmt.Errorf("%w: it does not start with %q", ErrFormat, arMagic)
	}
	off := int64(len(arMagic))
	for stage := 0; stage < 3; {
		m, err := readMember(r, off, size)
		if err == io.EOF {
			return l, fmt.Errorf("%w: no %s member", ErrFormat, [...]string{"debian-binary", "control", "data"}[stage])
		}
		if err != nil {
			return l, err
		}
		off = m.next()
		switch {
		case stage == 0:
			if err := checkVersion(r, m); err != nil {
				return l, err
			}
		case strings.HasPrefix(m.name, "_"):
			continue
		case stage == 1 && isTar(m.name, "control.tar"):
			l.control = m
		case stage == 2 && isTar(m.name, "data.tar"):
			l.data = m
		default:
			return l, fmt.Errorf("%w: unexpected member %q", ErrFormat, m.name)
		}
		stage++
	}
	return l, nil
}

func isTar(name, base string) bool {
	suffix, ok := strings.CutPrefix(name, base)
	return ok && (suffix == "" || suffix[0] == '.')
}

// checkVersion wants "2.x" and ignores lines after the first, as deb(5) asks.
func checkVersion(r io.ReaderAt, m member) error {
	if m.name != "debian-binary" {
		return fmt.Errorf("%w: the first member is %q, not debian-binary", ErrFormat, m.name)
	}
	b := make([]byte, min(m.size, 64))
	if _, err := r.ReadAt(b, m.offset); err != nil && err != io.EOF {
		return err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(line, "2.") {
		return fmt.Errorf("%w: format version %q, want 2.0", ErrFormat, line)
	}
	return nil
}
