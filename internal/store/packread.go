package store

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Open gives the content of entry i, without verifying it. It is empty for
// what is no file.
func (p *Pack) Open(i int) *io.SectionReader {
	if p.entries[i].Type != tree.File {
		return io.NewSectionReader(p.f, 0, 0)
	}
	return io.NewSectionReader(p.f, p.offsets[i], p.entries[i].Size)
}

// Trust takes all contents as verified, because the caller wrote or verified
// this pack in this very run.
func (p *Pack) Trust() {
	for i := range p.verified {
		p.verified[i].Store(true)
	}
}

// Verify reads and hashes every content that was not verified yet. A wrong
// one is a *CorruptError.
func (p *Pack) Verify() error {
	for i := range p.entries {
		if err := p.hashed(i); err != nil {
			return err
		}
	}
	return nil
}

// WriteTo writes the content of entry i at the file's offset. The first time
// the bytes are hashed before, and a wrong digest is a *CorruptError.
func (p *Pack) WriteTo(i int, f *os.File) error {
	e := &p.entries[i]
	if e.Type != tree.File || e.Size == 0 {
		return nil
	}
	if err := p.hashed(i); err != nil {
		return err
	}
	return p.kernelCopy(i, f)
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// hashed compares the digest of a content, unless it was found right before.
func (p *Pack) hashed(i int) error {
	e := &p.entries[i]
	if e.Type != tree.File || p.verified[i].Load() {
		return nil
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	h := sha256.New()
	for off, end := p.offsets[i], p.offsets[i]+e.Size; off < end; {
		b := (*buf)[:min(int64(len(*buf)), end-off)]
		if n, err := p.f.ReadAt(b, off); n < len(b) {
			return fmt.Errorf("reading %q from %s: %w", e.Path, p.f.Name(), err)
		}
		h.Write(b)
		off += int64(len(b))
	}
	if got := tree.Digest(h.Sum(nil)); got != e.Digest {
		return &CorruptError{Path: p.f.Name(), What: fmt.Sprintf("%q has digest %s, want %s", e.Path, got, e.Digest)}
	}
	p.verified[i].Store(true)
	return nil
}

// kernelCopy uses copy_file_range(2), which shares blocks where the filesystem
// can, and costs less than write(2) even of what was just read to be hashed. It
// falls back to reading where it cannot copy at all.
func (p *Pack) kernelCopy(i int, f *os.File) error {
	e, off, left := &p.entries[i], p.offsets[i], p.entries[i].Size
	for left > 0 {
		n, err := unix.CopyFileRange(int(p.f.Fd()), &off, int(f.Fd()), nil, int(min(left, 1<<30)), 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		left -= int64(n)
	}
	if left == 0 {
		return nil
	}
	r := io.NewSectionReader(p.f, off, left)
	if n, err := io.Copy(f, r); err != nil || n != left {
		return fmt.Errorf("writing %q from %s: %d bytes missing: %w", e.Path, p.f.Name(), left-n, err)
	}
	return nil
}

// touch marks a file as used now, for garbage collection; at most once an
// hour, to keep reading cheap. Errors do not matter: another user's store
// keeps its own books.
func (s *Store) touch(name string) {
	var st unix.Stat_t
	if s.readOnly || unix.Stat(name, &st) != nil {
		return
	}
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_REALTIME, &now)
	if now.Sec-st.Mtim.Sec > 3600 {
		unix.UtimesNanoAt(unix.AT_FDCWD, name, nil, 0)
	}
}
