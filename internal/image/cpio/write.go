package cpio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"slipway/internal/image"
	"slipway/internal/tree"
)

const (
	magic      = "070701"
	headerSize = 110
	trailer    = "TRAILER!!!"
	pathMax    = 4096 // of a name or target with its NUL: the kernel silently skips longer ones
)

var typeBits = map[tree.Type]uint32{tree.File: 0o100000, tree.Dir: 0o40000, tree.Symlink: 0o120000,
	tree.Char: 0o20000, tree.Block: 0o60000, tree.Fifo: 0o10000, tree.Socket: 0o140000}

// header is what a member begins with: numbers of eight hexadecimal digits.
type header struct {
	ino, mode, uid, gid, nlink, mtime, size, major, minor uint32
	name                                                  string
}

func (h *header) append(b []byte) []byte {
	b = append(b, magic...)
	for _, n := range [...]uint32{h.ino, h.mode, h.uid, h.gid, h.nlink, h.mtime, h.size,
		0, 0, h.major, h.minor, uint32(len(h.name)) + 1, 0} { // the device is 0:0, there is no checksum
		for shift := 28; shift >= 0; shift -= 4 {
			b = append(b, "0123456789ABCDEF"[n>>shift&15])
		}
	}
	b = append(append(b, h.name...), 0)
	return append(b, "\x00\x00\x00"[:pad(headerSize+len(h.name)+1)]...)
}

// pad is what lies between n bytes and the next multiple of four.
func pad[N int | int64](n N) N { return -n & 3 }

// group is a hard-link group.
type group struct {
	ino, members uint32
	last         string // the member that carries the content
}

type archive struct {
	w       *bufio.Writer
	content tree.Content
	opt     image.Options
	groups  map[string]*group // by the first path
	ino     uint32            // used so far
	n       int64             // written so far
	buf     []byte
}

func newArchive(w io.Writer, c tree.Content, opt image.Options, m *tree.Manifest) *archive {
	a := &archive{w: bufio.NewWriterSize(w, 256<<10), content: c, opt: opt, groups: make(map[string]*group), buf: make([]byte, 256<<10)}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Link == "" || e.Type == tree.Symlink {
			continue
		}
		g := a.groups[e.Link]
		if g == nil {
			g = &group{members: 1}
			a.groups[e.Link] = g
		}
		g.members++
		g.last = e.Path
	}
	return a
}

func (a *archive) write(ctx context.Context, m *tree.Manifest) error {
	for i := range m.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.add(&m.Entries[i]); err != nil {
			return fmt.Errorf("%q: %w", m.Entries[i].Path, err)
		}
	}
	end := header{nlink: 1, name: trailer}
	if err := a.bytes(end.append(nil)); err != nil {
		return err
	}
	if err := a.bytes(make([]byte, -a.n&511)); err != nil { // cpio reads blocks of 512
		return err
	}
	return a.w.Flush()
}

func (a *archive) bytes(b []byte) error {
	n, err := a.w.Write(b)
	a.n += int64(n)
	return err
}

func (a *archive) add(e *tree.Entry) error {
	if e.Type == tree.Socket {
		return nil
	}
	if err := check(e); err != nil {
		return err
	}
	h, carries := a.header(e)
	switch e.Type {
	case tree.File:
		if !carries {
			h.size = 0
		}
	case tree.Symlink:
		h.size = uint32(len(e.Target))
	}
	if err := a.bytes(h.append(a.buf[:0])); err != nil {
		return err
	}
	switch {
	case e.Type == tree.Symlink:
		if err := a.bytes([]byte(e.Target)); err != nil {
			return err
		}
	case h.size > 0:
		if err := a.file(e); err != nil {
			return err
		}
	}
	return a.bytes([]byte("\x00\x00\x00")[:pad(int(h.size&3))])
}

// header is the header of an entry, and whether this name of a hard-link group
// is the one with the content: the last, as GNU cpio has it. The kernel takes
// the content from whichever has it.
func (a *archive) header(e *tree.Entry) (h header, carries bool) {
	sec, _ := a.opt.Time(e)
	h = header{name: e.Path, mode: typeBits[e.Type] | e.Mode, uid: e.UID, gid: e.GID, nlink: 1,
		mtime: uint32(min(max(sec, 0), math.MaxUint32)), size: uint32(e.Size), major: e.Major, minor: e.Minor}
	if e.Type == tree.Dir {
		h.nlink = 2
	}
	first := e.Link
	if first == "" {
		first = e.Path
	}
	g := a.groups[first]
	if g == nil || e.Type == tree.Symlink {
		a.ino++
		h.ino = a.ino
		return h, true
	}
	if g.ino == 0 {
		a.ino++
		g.ino = a.ino
	}
	h.ino, h.nlink = g.ino, g.members
	return h, e.Path == g.last
}

func check(e *tree.Entry) error {
	switch {
	case e.Size > math.MaxUint32:
		return fmt.Errorf("a file of %d bytes, and cpio holds at most %d; use another format, or leave it out", e.Size, uint32(math.MaxUint32))
	case e.Path == trailer:
		return errors.New("the name marks the end of a cpio archive; give it another")
	case len(e.Path) >= pathMax || len(e.Target) >= pathMax:
		return fmt.Errorf("a name or target of %d bytes or more, which the kernel does not unpack", pathMax)
	case e.Major >= 1<<12 || e.Minor >= 1<<20:
		return fmt.Errorf("device %d:%d is beyond Linux's 4095:1048575", e.Major, e.Minor)
	}
	return nil
}

func (a *archive) file(e *tree.Entry) error {
	r, err := a.content.Open(e.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	left := e.Size
	for {
		n, err := r.Read(a.buf)
		if left -= int64(n); left < 0 {
			return fmt.Errorf("got more than %d bytes of content", e.Size)
		}
		if werr := a.bytes(a.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("got %d bytes of content, want %d", e.Size-left, e.Size)
	}
	return nil
}
