package squashfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// build makes an image and gives its size; zeros after the bytes that were
// written are missing.
func (s Writer) build(ctx context.Context, to *spool, m *tree.Manifest, c tree.Content, epoch int64) (size int64, err error) {
	if err := m.Validate(); err != nil {
		return 0, err
	}
	all, err := collect(m)
	if err != nil {
		return 0, err
	}
	n, err := newNodes(m, all)
	if err != nil {
		return 0, err
	}
	fragments, err := s.writeData(ctx, to, all, c)
	if err != nil {
		return 0, err
	}
	sb, err := s.writeMeta(ctx, to, n, fragments, image.Options{Epoch: epoch})
	if err != nil {
		return 0, err
	}
	return to.finish(sb)
}

// volume makes an image in a temporary file.
func (s Writer) volume(ctx context.Context, m *tree.Manifest, c tree.Content, epoch int64) (*volume, error) {
	s, err := s.normal()
	if err != nil {
		return nil, err
	}
	to, err := newSpool()
	if err != nil {
		return nil, err
	}
	size, err := s.build(ctx, to, m, c, epoch)
	if err != nil {
		to.close()
		return nil, err
	}
	return &volume{f: to.temp, used: to.n, size: size}, nil
}

// metaLevel is the highest level of Zstd for metadata: more is not worth its
// memory for pieces of this size.
const metaLevel = 3

// writeMeta writes all tables, in the order that the kernel checks.
func (s Writer) writeMeta(ctx context.Context, to *spool, n *nodes, fragments []byte, opt image.Options) (*super, error) {
	if s.Compression == Zstd {
		s.Level = min(s.Level, metaLevel)
	}
	c, err := codecs[s.Compression].open(s.Level, s.BlockSize)
	if err != nil {
		return nil, err
	}
	sb := &super{inodes: n.count, blockSize: s.BlockSize, fragments: uint32(len(fragments) / fragmentEntry),
		compression: codecs[s.Compression].id, flags: flagDuplicates | flagExportable, inodeTable: uint64(to.n)}
	w := &inodeWriter{metaWriter: newMetaWriter(to, c), opt: opt, xattrs: newXattrTable(c)}
	var listings bytes.Buffer
	if err := writeNodes(ctx, w, newMetaWriter(&listings, c), n); err != nil {
		return nil, err
	}
	sb.root, sb.time, sb.ids = n.root().ref, w.newest, uint16(len(w.ids.at))
	sb.dirTable = uint64(to.n)
	if _, err := to.Write(listings.Bytes()); err != nil {
		return nil, err
	}
	if sb.fragmentTable, err = writeTable(to, c, fragments); err != nil {
		return nil, err
	}
	if sb.exportTable, err = writeTable(to, c, n.export()); err != nil {
		return nil, err
	}
	if sb.idTable, err = writeTable(to, c, w.ids.table); err != nil {
		return nil, err
	}
	if sb.xattrTable, err = w.xattrs.writeTo(to, c); sb.xattrTable == invalid {
		sb.flags |= flagNoXattrs
	}
	return sb, err
}

// writeNodes writes all inodes and listings, what a folder has in it before
// the folder.
func writeNodes(ctx context.Context, w *inodeWriter, names *metaWriter, n *nodes) error {
	for _, d := range slices.Backward(n.dirs) {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, c := range d.children {
			if c.written {
				continue // another name of it came before
			}
			if err := w.writeInode(c.node, n.root()); err != nil {
				return fmt.Errorf("%q: %w", c.e.Path, err)
			}
		}
		if err := writeListing(names, d); err != nil {
			return err
		}
	}
	if err := w.writeInode(n.root(), n.root()); err != nil {
		return fmt.Errorf("%q: %w", ".", err)
	}
	if err := names.flush(); err != nil {
		return err
	}
	return w.flush()
}

// export is the table that finds inodes by their numbers, for file handles.
func (n *nodes) export() []byte {
	b := make([]byte, 8*n.count)
	put := func(x *node) { binary.LittleEndian.PutUint64(b[8*(x.number-1):], x.ref) }
	put(n.root())
	for _, d := range n.dirs {
		for _, c := range d.children {
			put(c.node)
		}
	}
	return b
}
