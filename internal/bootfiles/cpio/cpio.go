// Package cpio writes archives in the "new ASCII" format (newc) that the Linux
// kernel unpacks as initramfs: Documentation/driver-api/early-userspace/
// buffer-format.rst. It writes what an initramfs of ours needs; hard links and
// whole trees are the work of package image/cpio.
package cpio

import (
	"fmt"
	"io"
)

// The file types of a mode, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeLink    = 0o120000
	typeChar    = 0o020000
)

// MaxSize is the largest file that the format can hold, in bytes.
const MaxSize = 1<<32 - 1

// Writer writes an archive. Errors stick: Close reports the first.
type Writer struct {
	w   io.Writer
	ino uint32
	pos int64
	err error
}

// NewWriter starts an archive.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Dir adds a folder; its parent must have been added before.
func (w *Writer) Dir(name string, perm uint32) error {
	return w.add(header{name: name, mode: typeDir | perm, links: 2}, nil)
}

// File adds a regular file.
func (w *Writer) File(name string, perm uint32, data []byte) error {
	if int64(len(data)) > MaxSize {
		return w.fail(fmt.Errorf("archiving %s: %d bytes are more than a cpio archive can hold in a file", name, len(data)))
	}
	return w.add(header{name: name, mode: typeRegular | perm, links: 1, size: uint32(len(data))}, data)
}

// Stream adds a regular file of exactly size bytes read from r.
func (w *Writer) Stream(name string, perm uint32, size int64, r io.Reader) error {
	if size > MaxSize {
		return w.fail(fmt.Errorf("archiving %s: %d bytes are more than a cpio archive can hold in a file", name, size))
	}
	if err := w.add(header{name: name, mode: typeRegular | perm, links: 1, size: uint32(size)}, nil); err != nil {
		return err
	}
	n, err := io.CopyN(w.w, r, size)
	w.pos += n
	if err != nil {
		return w.fail(fmt.Errorf("archiving %s: %w", name, err))
	}
	return w.pad()
}

// Symlink adds a symbolic link.
func (w *Writer) Symlink(name, target string) error {
	return w.add(header{name: name, mode: typeLink | 0o777, links: 1, size: uint32(len(target))}, []byte(target))
}

// Char adds a character device.
func (w *Writer) Char(name string, perm, major, minor uint32) error {
	return w.add(header{name: name, mode: typeChar | perm, links: 1, major: major, minor: minor}, nil)
}

// Close ends the archive. It does not close the underlying writer.
func (w *Writer) Close() error {
	w.ino = ^uint32(0) // the trailer has number 0
	return w.add(header{name: "TRAILER!!!", links: 1}, nil)
}

type header struct {
	name         string
	mode, links  uint32
	size         uint32
	major, minor uint32
}

// add writes a header and, unless it is streamed, the content. Owner, group
// and time are 0: nobody looks at them, and equal input gives equal bytes.
func (w *Writer) add(h header, data []byte) error {
	w.ino++
	w.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		w.ino, h.mode, 0, 0, h.links, 0, h.size, 0, 0, h.major, h.minor, len(h.name)+1, 0, h.name))
	w.pad()
	if len(data) > 0 {
		w.write(data)
		w.pad()
	}
	return w.err
}

func (w *Writer) write(p []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(p)
	w.pos += int64(n)
	if err != nil {
		w.fail(fmt.Errorf("writing an archive: %w", err))
	}
}

// pad fills up to the next multiple of four.
func (w *Writer) pad() error {
	w.write(make([]byte, -w.pos&3))
	return w.err
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}
