package squashfs

import (
	"fmt"

	"slipway/internal/tree"
)

// inode is an inode that was read.
type inode struct {
	tree.Entry          // without Path, Digest and Link
	file       file     // of a File, without name and digest
	dir        struct { // of a Dir
		ref  uint64
		size uint32
	}
}

var kinds = map[uint16]tree.Type{typeDir: tree.Dir, typeFile: tree.File, typeSymlink: tree.Symlink, typeBlock: tree.Block,
	typeChar: tree.Char, typeFifo: tree.Fifo, typeSocket: tree.Socket}

// inode reads the inode at a reference.
func (s *source) inode(ref uint64) (*inode, error) {
	c := s.cursor(s.sb.inodeTable, ref)
	n, xattr := &inode{}, uint32(noXattrs)
	t := c.u16()
	ext := t > extended
	if ext {
		t -= extended
	}
	var ok bool
	if n.Type, ok = kinds[t]; !ok && c.err == nil {
		return nil, fmt.Errorf("inode at %#x: unknown type %d", ref, t)
	}
	n.Mode = uint32(c.u16()) & 0o7777
	uid, gid := c.u16(), c.u16()
	n.MTime = int64(c.u32())
	c.u32() // number
	switch {
	case n.Type == tree.Dir:
		xattr = n.readDir(c, ext)
	case n.Type == tree.File:
		xattr = n.readFile(c, ext, int64(s.sb.blockSize))
	default:
		n.readSpecial(c)
		if ext {
			xattr = c.u32()
		}
	}
	if c.err == nil {
		c.err = s.owners(&n.Entry, uid, gid)
	}
	if c.err == nil && xattr != noXattrs {
		n.Xattrs, c.err = s.xattrs(xattr)
	}
	if c.err != nil {
		return nil, fmt.Errorf("inode at %#x: %w", ref, c.err)
	}
	return n, nil
}

func (n *inode) readDir(c *cursor, ext bool) (xattr uint32) {
	if !ext {
		block := c.u32()
		c.u32() // links
		n.dir.size = uint32(c.u16())
		n.dir.ref = uint64(block)<<16 | uint64(c.u16())
		return noXattrs
	}
	c.u32()
	n.dir.size = c.u32()
	block := c.u32()
	c.u32() // parent
	c.u16() // entries of the index
	n.dir.ref = uint64(block)<<16 | uint64(c.u16())
	return c.u32()
}

func (n *inode) readFile(c *cursor, ext bool, blockSize int64) (xattr uint32) {
	f := &n.file
	xattr = noXattrs
	if ext {
		f.start, f.size = c.u64(), int64(c.u64())
		c.u64() // bytes of holes
		c.u32() // links
		f.fragment, f.offset = c.u32(), c.u32()
		xattr = c.u32()
	} else {
		f.start = uint64(c.u32())
		f.fragment, f.offset = c.u32(), c.u32()
		f.size = int64(c.u32())
	}
	if n.Size = f.size; f.size < 0 {
		c.err = fmt.Errorf("file of %d bytes", uint64(f.size))
	}
	blocks := f.size / blockSize
	if f.fragment == noFragment && f.size%blockSize != 0 {
		blocks++
	}
	for ; blocks > 0 && c.err == nil; blocks-- {
		f.blocks = append(f.blocks, c.u32())
		if c.err == nil {
			c.err = c.s.spend(4)
		}
	}
	return xattr
}

func (n *inode) readSpecial(c *cursor) {
	c.u32() // links
	switch n.Type {
	case tree.Symlink:
		if size := c.u32(); size <= maxTarget {
			n.Target = c.str(int(size))
		} else if c.err == nil {
			c.err = fmt.Errorf("symbolic link of %d bytes", size)
		}
	case tree.Char, tree.Block:
		dev := c.u32()
		n.Major, n.Minor = dev>>8&0xfff, dev&0xff|dev>>20<<8
	}
}

// owners looks the ids up.
func (s *source) owners(e *tree.Entry, uid, gid uint16) error {
	for i, id := range []uint16{uid, gid} {
		if id >= s.sb.ids {
			return fmt.Errorf("owner %d of %d", id, s.sb.ids)
		}
		c := s.entry(s.sb.idTable, uint32(id), 4)
		if v := c.u32(); i == 0 {
			e.UID = v
		} else {
			e.GID = v
		}
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

const (
	xattrKind    = 0xff  // of the type of an attribute: the prefix
	xattrOutside = 0x100 // the value is a reference to where it is
)

// xattrs reads a set of extended attributes.
func (s *source) xattrs(i uint32) (map[string]string, error) {
	if s.sb.xattrTable == invalid {
		return nil, fmt.Errorf("extended attributes %d of none", i)
	}
	head, err := s.bytes(int64(s.sb.xattrTable), 16)
	if err != nil {
		return nil, err
	}
	table, count := le64(head), le32(head[8:])
	if i >= count {
		return nil, fmt.Errorf("extended attributes %d of %d", i, count)
	}
	id := s.entry(s.sb.xattrTable+16, i, 16)
	ref, n := id.u64(), id.u32()
	if id.err != nil {
		return nil, id.err
	}
	if n > tree.MaxXattrs {
		return nil, fmt.Errorf("%d extended attributes of one inode", n)
	}
	c := s.cursor(table, ref)
	out := make(map[string]string)
	for ; n > 0 && c.err == nil; n-- {
		kind := c.u16()
		name := c.str(int(c.u16()))
		if int(kind&xattrKind) >= len(xattrPrefixes) {
			return nil, fmt.Errorf("extended attribute %q of unknown kind %#x", name, kind)
		}
		out[xattrPrefixes[kind&xattrKind]+name] = xattrValue(c, table, kind&xattrOutside != 0)
	}
	return out, c.err
}

func xattrValue(c *cursor, table uint64, outside bool) string {
	size := c.u32()
	if outside {
		from := c.s.cursor(table, c.u64())
		if c.err == nil {
			v := xattrValue(from, table, false)
			c.err = from.err
			return v
		}
	}
	if size > tree.MaxXattr && c.err == nil {
		c.err = fmt.Errorf("extended attribute of %d bytes", size)
	}
	return c.str(int(size))
}
