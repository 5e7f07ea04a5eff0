package squashfs

import (
	"encoding/binary"
	"math"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// inodeWriter writes inodes, each in the smallest form that holds it.
type inodeWriter struct {
	*metaWriter
	opt    image.Options
	ids    idTable
	xattrs *xattrTable
	newest uint32 // time so far
	b      []byte
}

func (w *inodeWriter) u16(v uint16) { w.b = binary.LittleEndian.AppendUint16(w.b, v) }
func (w *inodeWriter) u32(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }
func (w *inodeWriter) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

// time clamps to what 32 bits hold.
func (w *inodeWriter) time(e *tree.Entry) uint32 {
	sec, _ := w.opt.Time(e)
	t := uint32(min(max(sec, 0), math.MaxUint32))
	w.newest = max(w.newest, t)
	return t
}

// writeInode writes one inode and notes where it is.
func (w *inodeWriter) writeInode(n *node, root *node) error {
	n.e = withoutACL(n.e)
	x, err := w.xattrs.add(n.e.Xattrs)
	if err != nil {
		return err
	}
	w.b = w.b[:0]
	switch n.e.Type {
	case tree.Dir:
		err = w.dir(n, root, x)
	case tree.File:
		err = w.file(n, x)
	default:
		err = w.special(n, x)
	}
	if err != nil {
		return err
	}
	n.ref, n.written = w.ref(), true
	w.write(w.b)
	return w.err
}

// head writes struct squashfs_base_inode.
func (w *inodeWriter) head(n *node, ext bool) error {
	uid, err := w.ids.index(n.e.UID)
	if err != nil {
		return err
	}
	gid, err := w.ids.index(n.e.GID)
	if err != nil {
		return err
	}
	t := types[n.e.Type]
	if ext {
		t += extended
	}
	w.u16(t)
	w.u16(uint16(n.e.Mode))
	w.u16(uid)
	w.u16(gid)
	w.u32(w.time(n.e))
	w.u32(n.number)
	return nil
}

// dir writes struct squashfs_dir_inode or squashfs_ldir_inode.
func (w *inodeWriter) dir(n, root *node, x uint32) error {
	l := &n.listing
	size := l.size + listingPad
	ext := x != noXattrs || size > math.MaxUint16 || len(l.index) > 0
	if err := w.head(n, ext); err != nil {
		return err
	}
	parent := root.number + 1 // of the root: a number that nothing has
	if n.parent != nil {
		parent = n.parent.number
	}
	if !ext {
		w.u32(uint32(l.ref >> 16))
		w.u32(n.links)
		w.u16(uint16(size))
		w.u16(uint16(l.ref))
		w.u32(parent)
		return nil
	}
	w.u32(n.links)
	w.u32(size)
	w.u32(uint32(l.ref >> 16))
	w.u32(parent)
	w.u16(uint16(len(l.index)))
	w.u16(uint16(l.ref))
	w.u32(x)
	for _, i := range l.index {
		w.u32(i.at)
		w.u32(i.block)
		w.u32(uint32(len(i.name) - 1))
		w.b = append(w.b, i.name...)
	}
	return nil
}

var noFile = &file{fragment: noFragment} // of empty files

// file writes struct squashfs_reg_inode or squashfs_lreg_inode.
func (w *inodeWriter) file(n *node, x uint32) error {
	f := n.file
	if f == nil {
		f = noFile
	}
	ext := x != noXattrs || n.links > 1 || f.sparse > 0 || f.start > math.MaxUint32 || f.size > math.MaxUint32
	if err := w.head(n, ext); err != nil {
		return err
	}
	if ext {
		w.u64(f.start)
		w.u64(uint64(f.size))
		w.u64(uint64(f.sparse))
		w.u32(n.links)
		w.u32(f.fragment)
		w.u32(f.offset)
		w.u32(x)
	} else {
		w.u32(uint32(f.start))
		w.u32(f.fragment)
		w.u32(f.offset)
		w.u32(uint32(f.size))
	}
	for _, size := range f.blocks {
		w.u32(size)
	}
	return nil
}

// special writes what has no content: symbolic links, devices, fifos and
// sockets.
func (w *inodeWriter) special(n *node, x uint32) error {
	if err := w.head(n, x != noXattrs); err != nil {
		return err
	}
	w.u32(n.links)
	switch n.e.Type {
	case tree.Symlink:
		w.u32(uint32(len(n.e.Target)))
		w.b = append(w.b, n.e.Target...)
	case tree.Char, tree.Block:
		w.u32(n.e.Minor&0xff | n.e.Major<<8 | n.e.Minor>>8<<20)
	}
	if x != noXattrs {
		w.u32(x)
	}
	return nil
}
