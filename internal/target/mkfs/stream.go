package mkfs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"slipway/internal/tree"
)

// The tree reaches the machine as a disk:
//
//	magic, 8 bytes big-endian: bytes of the manifest, contents
//	the manifest, as package tree encodes it
//	the contents, each digest once: 32 bytes digest, 8 bytes offset on the
//	disk, 8 bytes size; in the order of the manifest
//	their bytes
//
// It is a table and not a stream, so that several processors can unpack it.
const (
	streamMagic  = "slipway tree disk 1\n"
	streamHeader = len(streamMagic) + 16
	streamRow    = 48
	// streamSector is what the disk's length is a multiple of.
	streamSector = 4096
)

type row struct {
	digest       tree.Digest
	offset, size int64
}

// rows places the contents of a manifest.
func rows(m *tree.Manifest, manifest int64) (all []row, end int64) {
	seen := map[tree.Digest]bool{tree.Empty: true}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type == tree.File && e.Link == "" && e.Size > 0 && !seen[e.Digest] {
			seen[e.Digest] = true
			all = append(all, row{digest: e.Digest, size: e.Size})
		}
	}
	end = int64(streamHeader) + manifest + int64(len(all))*streamRow
	for i := range all {
		all[i].offset = end
		end += all[i].size
	}
	return all, end
}

// writeTree fills an empty file with a tree; zeros become holes.
func writeTree(ctx context.Context, f *os.File, m *tree.Manifest, c tree.Content) error {
	var manifest bytes.Buffer
	if err := m.Encode(&manifest); err != nil {
		return err
	}
	all, end := rows(m, int64(manifest.Len()))
	if err := f.Truncate((end + streamSector - 1) / streamSector * streamSector); err != nil {
		return err
	}
	head := bufio.NewWriterSize(f, 1<<20)
	head.WriteString(streamMagic)
	head.Write(binary.BigEndian.AppendUint64(nil, uint64(manifest.Len())))
	head.Write(binary.BigEndian.AppendUint64(nil, uint64(len(all))))
	head.Write(manifest.Bytes())
	for _, r := range all {
		b := append([]byte(nil), r.digest[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(r.offset))
		head.Write(binary.BigEndian.AppendUint64(b, uint64(r.size)))
	}
	if err := head.Flush(); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for _, r := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeContent(f, c, r, buf); err != nil {
			return err
		}
	}
	return nil
}

func writeContent(f *os.File, c tree.Content, r row, buf []byte) error {
	in, err := c.Open(r.digest)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &sparse{f: f, at: r.offset}
	n, err := io.CopyBuffer(w, struct{ io.Reader }{in}, buf)
	if err == nil && n != r.size {
		err = fmt.Errorf("content %s has %d bytes, and should have %d", r.digest, n, r.size)
	}
	return err
}

// sparse writes to a file that has its length already, and leaves out zeros.
type sparse struct {
	f  *os.File
	at int64
}

func (s *sparse) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, zero := run(b[done:])
		if !zero {
			if _, err := s.f.WriteAt(b[done:done+n], s.at); err != nil {
				return done, err
			}
		}
		s.at += int64(n)
		done += n
	}
	return done, nil
}

// treeDisk is a tree that was received.
type treeDisk struct {
	r        io.ReaderAt
	done     atomic.Int64 // bytes that were copied or compared; a little more for each file
	manifest *tree.Manifest
	rows     map[tree.Digest]row
}

var errNoTree = errors.New("the disk holds no tree")

// openTree reads the head of a disk; size is its length.
func openTree(r io.ReaderAt, size int64) (*treeDisk, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<20)
	head := make([]byte, streamHeader)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:len(streamMagic)]) != streamMagic {
		return nil, errNoTree
	}
	length, count := binary.BigEndian.Uint64(head[len(streamMagic):]), binary.BigEndian.Uint64(head[len(streamMagic)+8:])
	if length > uint64(size) || count > tree.MaxEntries {
		return nil, errNoTree
	}
	d := &treeDisk{r: r, rows: map[tree.Digest]row{}}
	var err error
	if d.manifest, err = tree.Decode(io.LimitReader(in, int64(length))); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoTree, err)
	}
	line := make([]byte, streamRow)
	for range count {
		if _, err := io.ReadFull(in, line); err != nil {
			return nil, errNoTree
		}
		w := row{tree.Digest(line), int64(binary.BigEndian.Uint64(line[32:])), int64(binary.BigEndian.Uint64(line[40:]))}
		if w.offset < 0 || w.size < 0 || w.offset > size || w.size > size-w.offset {
			return nil, errNoTree
		}
		d.rows[w.digest] = w
	}
	return d, nil
}

// Open implements tree.Content.
func (d *treeDisk) Open(digest tree.Digest) (io.ReadCloser, error) {
	w, ok := d.rows[digest]
	if !ok && digest != tree.Empty {
		return nil, fmt.Errorf("%s: %w", digest, tree.ErrNoContent)
	}
	return io.NopCloser(d.section(w)), nil
}

// CopyTo implements tree.FileCopier: zeros become holes. Nothing is verified
// here, because all of it is read again at the end.
func (d *treeDisk) CopyTo(digest tree.Digest, f *os.File) error {
	w, ok := d.rows[digest]
	if !ok {
		return fmt.Errorf("%s: %w", digest, tree.ErrNoContent)
	}
	if err := f.Truncate(w.size); err != nil {
		return err
	}
	d.done.Add(1)
	_, err := io.CopyBuffer(&sparse{f: f}, struct{ io.Reader }{d.section(w)}, make([]byte, min(w.size+1, 256<<10)))
	return err
}

// section reads one content.
func (d *treeDisk) section(w row) io.Reader {
	return &counted{io.NewSectionReader(d.r, w.offset, w.size), &d.done}
}

// counted counts what is read.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
