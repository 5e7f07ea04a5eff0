package store

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"slipway/internal/tree"
)

// packBuffers are what a pack is written through. A small package is packed in
// less time than it takes to clear them for it.
type packBuffers struct {
	out *bufio.Writer
	in  []byte
}

var packPool = sync.Pool{New: func() any { return &packBuffers{bufio.NewWriterSize(nil, 1<<20), make([]byte, 128<<10)} }}

// release gives the buffers to the next pack; nothing can be written any more.
func (w *PackWriter) release() {
	if w.buf == nil {
		return
	}
	w.buf.out.Reset(nil)
	packPool.Put(w.buf)
	w.buf, w.w = nil, nil
	if w.err == nil {
		w.err = errPackEnded
	}
}

var errPackEnded = errors.New("writing a pack: it was ended before")

// PackWriter writes a pack. It is for one goroutine; any number of writers may
// run at once, also for the same package.
type PackWriter struct {
	s       *Store
	name    string // final path
	f       *os.File
	w       *bufio.Writer
	off     int64
	hash    hash.Hash
	buf     *packBuffers
	entries []tree.Entry
	offsets []int64
	control []ControlFile
	byPath  map[string]int // the newest entry of a path, for hard links
	err     error          // sticks
}

// NewPackWriter begins the pack of the package with this digest. Exactly one
// of Commit and Abort ends it.
func (s *Store) NewPackWriter(digestHex string) (*PackWriter, error) {
	if !validName(digestHex) {
		return nil, fmt.Errorf("writing the pack %q: not a digest", digestHex)
	}
	return s.newPackWriter(s.PackPath(digestHex))
}

func (s *Store) newPackWriter(name string) (*PackWriter, error) {
	f, err := s.TempFile("pack")
	if err != nil {
		return nil, err
	}
	w := &PackWriter{s: s, name: name, f: f, buf: packPool.Get().(*packBuffers), hash: sha256.New(), byPath: make(map[string]int)}
	w.w = w.buf.out
	w.w.Reset(f)
	w.write([]byte(packMagic))
	w.write([]byte{packVersion, 0, 0})
	return w, w.err
}

func (w *PackWriter) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	w.off += int64(n)
	w.err = w.s.explain("writing a pack", err)
}

// Add appends an entry, in the order of the archive; a path may come again.
//
// For a File without Link, content gives exactly e.Size bytes and Digest is
// filled in. For a hard link to an earlier file, Link is the path of any
// earlier member of its group, content is nil, and type, size and digest are
// taken from there. Other entries have no content.
func (w *PackWriter) Add(e tree.Entry, content io.Reader) error {
	if w.err != nil {
		return w.err
	}
	off, err := w.add(&e, content)
	if err != nil {
		w.err = err
		return err
	}
	w.byPath[e.Path] = len(w.entries)
	w.entries, w.offsets = append(w.entries, e), append(w.offsets, off)
	return nil
}

func (w *PackWriter) add(e *tree.Entry, content io.Reader) (off int64, err error) {
	if e.Link != "" {
		i, ok := w.byPath[e.Link]
		if !ok {
			return 0, fmt.Errorf("packing %q: hard link to %q, which did not come before", e.Path, e.Link)
		}
		first := &w.entries[i]
		e.Type, e.Size, e.Digest, e.Target = first.Type, first.Size, first.Digest, first.Target
		e.Major, e.Minor = first.Major, first.Minor
		return w.offsets[i], e.Validate()
	}
	if e.Type == tree.File {
		off = w.off
		if e.Digest, err = w.copy(e, content); err != nil {
			return 0, fmt.Errorf("packing %q: %w", e.Path, err)
		}
	}
	return off, e.Validate()
}

// copy writes and hashes one content in one pass.
func (w *PackWriter) copy(e *tree.Entry, r io.Reader) (d tree.Digest, err error) {
	w.hash.Reset()
	left := e.Size
	for left > 0 && r != nil {
		n, err := r.Read(w.buf.in[:min(int64(len(w.buf.in)), left)])
		w.hash.Write(w.buf.in[:n])
		w.write(w.buf.in[:n])
		left -= int64(n)
		if w.err != nil {
			return d, w.err
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return d, err
		}
	}
	if left != 0 {
		return d, fmt.Errorf("content ends %d bytes early: %w", left, io.ErrUnexpectedEOF)
	}
	w.hash.Sum(d[:0])
	return d, nil
}

// Last is the entry that Add appended last, with its digest.
func (w *PackWriter) Last() tree.Entry { return w.entries[len(w.entries)-1] }

// AddControl appends a control member. mtime is in seconds.
func (w *PackWriter) AddControl(name string, mode uint32, mtime int64, data []byte) {
	if len(name) > 255 || len(data) > maxControl || mode&^uint32(07777) != 0 {
		w.err = errors.Join(w.err, fmt.Errorf("packing the control member %q: too large or bad mode", name))
		return
	}
	w.control = append(w.control, ControlFile{Name: name, Mode: mode, MTime: mtime, Data: data})
}

// Commit finishes the pack and makes it visible. After an error nothing is.
func (w *PackWriter) Commit() error {
	index := appendIndex(nil, w.entries, w.offsets, w.control)
	if w.err == nil && len(index) > maxIndex {
		w.err = fmt.Errorf("packing: index of %d bytes is larger than %d", len(index), maxIndex)
	}
	foot := binary.LittleEndian.AppendUint64(nil, uint64(w.off))
	foot = binary.LittleEndian.AppendUint64(foot, uint64(len(index)))
	sum := sha256.Sum256(index)
	w.write(index)
	w.write(append(append(foot, sum[:]...), packEnd...))
	if w.err == nil {
		w.err = w.s.explain("writing a pack", w.w.Flush())
	}
	if w.err != nil {
		w.Abort()
		return w.err
	}
	w.release()
	return w.s.publish(w.f, w.name)
}

// Abort drops what was written. After Commit it does nothing.
func (w *PackWriter) Abort() {
	w.release()
	if w.f.Close() == nil {
		os.Remove(w.f.Name())
	}
}
