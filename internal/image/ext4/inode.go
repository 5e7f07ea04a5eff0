package ext4

import (
	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Inodes: https://docs.kernel.org/filesystems/ext4/dynamic.html#index-nodes
const (
	rootInode      = 2
	resizeInode    = 7
	journalInode   = 8
	lostFoundInode = 11 // the first that is not reserved

	extraSize = 32 // of fields behind the first 128 bytes

	inodeIndexed = 0x1000
	inodeExtents = 0x80000

	minTime = -1 << 31
	maxTime = 3<<32 + 1<<31 - 1
)

var modeTypes = map[tree.Type]uint32{tree.File: unix.S_IFREG, tree.Dir: unix.S_IFDIR, tree.Char: unix.S_IFCHR,
	tree.Block: unix.S_IFBLK, tree.Fifo: unix.S_IFIFO, tree.Socket: unix.S_IFSOCK, tree.Symlink: unix.S_IFLNK}

// inodeFields are what differs between inodes.
type inodeFields struct {
	mode, uid, gid, links, flags uint32
	size, blocks, xattrs         int64 // blocks of 4096 bytes; block number
	sec                          int64
	nsec                         uint32
	data                         [60]byte // i_block
	body                         []xattr
}

// put writes an inode with its checksum.
func (f *inodeFields) put(b []byte, sum crc) {
	put16(b, 0x00, uint16(f.mode))
	put16(b, 0x02, uint16(f.uid))
	put32(b, 0x04, uint32(f.size))
	put16(b, 0x18, uint16(f.gid))
	put16(b, 0x1a, uint16(f.links))
	sectors := f.blocks * (blockSize / 512)
	put32(b, 0x1c, uint32(sectors))
	put32(b, 0x20, f.flags)
	copy(b[0x28:], f.data[:])
	put32(b, 0x68, uint32(f.xattrs))
	put32(b, 0x6c, uint32(f.size>>32))
	put16(b, 0x74, uint16(sectors>>32))
	put16(b, 0x76, uint16(f.xattrs>>32))
	put16(b, 0x78, uint16(f.uid>>16))
	put16(b, 0x7a, uint16(f.gid>>16))
	put16(b, 0x80, extraSize)
	for _, off := range [][2]int{{0x08, 0x8c}, {0x0c, 0x84}, {0x10, 0x88}, {0x90, 0x94}} { // access, change, modification, birth
		put32(b, off[0], uint32(f.sec))
		put32(b, off[1], f.nsec<<2|epochBits(f.sec))
	}
	putXattrBody(b, f.body)
	sum = sum.bytes(b[:inodeSize])
	put16(b, 0x7c, uint16(sum))
	put16(b, 0x82, uint16(sum>>16))
}

// epochBits extend the signed 32 bits of seconds by two more.
func epochBits(sec int64) uint32 {
	return uint32((sec-int64(int32(sec)))>>32) & 3
}

// inodeSum begins the checksums of an inode and of what belongs to it.
func (p *plan) inodeSum(inode uint32) crc { return p.sum.u32(inode).u32(0) } // generation 0

// putInode writes the inode of a number; one that is not in use stays zero.
func (p *plan) putInode(b []byte, number uint32) {
	var f inodeFields
	switch {
	case number == resizeInode && p.geo.reserved > 0:
		f = p.resizeFields()
	case number == journalInode && p.geo.journal > 0:
		f = inodeFields{mode: unix.S_IFREG | 0o600, links: 1, sec: p.time, size: p.journal.blocks * blockSize}
		p.putExtents(&f, &p.journal, number)
	case number == rootInode:
		f = p.nodeFields(rootNode)
	case number >= lostFoundInode:
		f = p.nodeFields(int(number) - lostFoundInode + lostFoundNode)
	default:
		return
	}
	f.put(b, p.inodeSum(number))
}

func (p *plan) nodeFields(n int) inodeFields {
	node, e := &p.list[n], p.entryOf(n)
	f := inodeFields{links: node.links}
	if e == nil {
		f.mode, f.sec = unix.S_IFDIR|0o700, p.time
		f.size = node.blocks * blockSize
		p.putExtents(&f, node, inode(n))
		return f
	}
	f.mode, f.uid, f.gid = e.Mode|modeTypes[e.Type], e.UID, e.GID
	f.sec, f.nsec = p.opt.Time(e)
	f.size = e.Size
	switch e.Type {
	case tree.Dir:
		f.size = node.blocks * blockSize
		if node.links > maxLinks {
			f.links = 1 // dir_nlink: too many to count
		}
		if node.blocks > 1 && !p.isSpare(n) {
			f.flags |= inodeIndexed
		}
	case tree.Symlink:
		f.size = int64(len(e.Target))
	}
	switch {
	case e.Type == tree.Char || e.Type == tree.Block:
		putDevice(f.data[:], e.Major, e.Minor)
	case e.Type == tree.Symlink && node.blocks == 0:
		copy(f.data[:], e.Target)
	case e.Type == tree.File || e.Type == tree.Dir || e.Type == tree.Symlink:
		p.putExtents(&f, node, inode(n))
	}
	p.putXattrFields(&f, node, e)
	return f
}

func (p *plan) putExtents(f *inodeFields, n *node, number uint32) {
	f.data, _ = p.geo.extentTree(n, p.inodeSum(number))
	f.flags |= inodeExtents
	f.blocks = n.blocks + n.tree
}

func (p *plan) putXattrFields(f *inodeFields, n *node, e *tree.Entry) {
	if len(e.Xattrs) == 0 {
		return
	}
	list, _ := xattrs(e.Xattrs) // checked when the plan was made
	f.body, _, _ = splitXattrs(list)
	if n.xattrs > 0 {
		f.xattrs = p.geo.block(p.xattrSlot + int64(n.xattrs-1))
		f.blocks++
	}
}

// putDevice writes a device number in the old form of 16 bits where it
// fits, else in the new one.
func putDevice(b []byte, major, minor uint32) {
	if major < 256 && minor < 256 {
		put32(b, 0, major<<8|minor)
		return
	}
	put32(b, 4, minor&0xff|major<<8|minor&^0xff<<12)
}
