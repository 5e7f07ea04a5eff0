package ext4

import (
	"context"
	"fmt"
	"io"
)

// writer streams a plan: the fronts of the groups, and between them the data
// area, slot by slot.
type writer struct {
	*plan
	out         *output
	descriptors []byte
	group       int   // whose front was written last
	slot        int64 // next to be written
	scratch     [blockSize]byte
	inodes      []byte // room for some
}

func (p *plan) write(ctx context.Context, w io.Writer) error {
	x := &writer{plan: p, out: newOutput(ctx, w), inodes: make([]byte, 0, 64*blockSize)}
	x.descriptors = make([]byte, p.geo.descBlocks*blockSize)
	for i := range p.geo.groups {
		p.descriptor(x.descriptors[i*p.geo.descSize():], i)
	}
	x.front(0)
	x.fixed()
	if err := x.allFolders(); err != nil {
		return err
	}
	if err := x.allContents(ctx); err != nil {
		return err
	}
	if x.slot != p.used {
		return fmt.Errorf("%d blocks were written where %d were planned", x.slot, p.used)
	}
	return x.finish()
}

// finish writes what is not used.
func (x *writer) finish() error {
	for left := x.geo.capacity() - x.used; left > 0 && x.out.err == nil; {
		n := min(left, x.room())
		x.out.free(n * blockSize)
		left -= n
		x.slot += n
	}
	x.out.zeros(x.volume.Size - x.out.at)
	x.out.flush()
	return x.out.err
}

// data appends whole blocks to the data area, around the fronts of groups.
func (x *writer) data(b []byte) {
	for len(b) > 0 && x.out.err == nil {
		n := min(int64(len(b)), x.room()*blockSize)
		x.out.sparse(b[:n])
		b = b[n:]
		x.slot += n / blockSize
	}
}

// skip leaves blocks of the data area zero.
func (x *writer) skip(blocks int64) {
	for blocks > 0 && x.out.err == nil {
		n := min(blocks, x.room())
		x.out.zeros(n * blockSize)
		blocks -= n
		x.slot += n
	}
}

// room is the number of slots left in this group, or else in the next.
func (x *writer) room() int64 {
	for x.slot == x.geo.slots[x.group+1] {
		x.group++
		x.front(x.group)
	}
	return x.geo.slots[x.group+1] - x.slot
}

// front writes what a group holds for the filesystem.
func (x *writer) front(group int) {
	g := x.geo
	if hasSuper(group) {
		x.super(group)
	}
	n := g.flexSize(group)
	for i := group; i < group+n; i++ {
		x.bitmap(x.use(i), groupBlockUninit, func(b []byte, u groupUse) { g.putBlockBitmap(b, i, u) })
	}
	for i := group; i < group+n; i++ {
		x.bitmap(x.use(i), groupInodeUninit, g.putInodeBitmap)
	}
	for i := group; i < group+n; i++ {
		x.inodeTable(i)
	}
}

func (x *writer) super(group int) {
	if group == 0 {
		x.out.zeros(superOffset)
	}
	x.out.bytes(x.superblock(group))
	x.out.zeros((blockSize - x.out.at%blockSize) % blockSize)
	x.out.bytes(x.descriptors)
	if group > 0 {
		x.out.zeros(int64(x.geo.reserved) * blockSize)
		return
	}
	backups := x.geo.backups()
	for i := range x.geo.reserved {
		if len(backups) == 0 {
			x.out.zeros(blockSize)
			continue
		}
		b := x.block()
		x.geo.reservedBlock(b, i, backups)
		x.out.bytes(b)
	}
}

// block is an empty block, good until the next.
func (x *writer) block() []byte {
	clear(x.scratch[:])
	return x.scratch[:]
}

func (x *writer) bitmap(u groupUse, uninit uint16, put func([]byte, groupUse)) {
	if u.flags&uninit != 0 {
		x.out.zeros(blockSize)
		return
	}
	b := x.block()
	put(b, u)
	x.out.bytes(b)
}

func (x *writer) inodeTable(group int) {
	u := x.use(group)
	first := uint32(group*x.geo.inodesPerGroup) + 1
	buf := x.inodes
	for i := uint32(0); i < uint32(u.inodes); i++ {
		buf = buf[:len(buf)+inodeSize]
		b := buf[len(buf)-inodeSize:]
		clear(b)
		x.putInode(b, first+i)
		if len(buf) == cap(buf) {
			x.out.bytes(buf)
			buf = buf[:0]
		}
	}
	x.out.bytes(buf)
	x.out.zeros(int64(x.geo.tableBlocks)*blockSize - u.inodes*inodeSize)
}

// fixed writes the resize inode's block and the journal.
func (x *writer) fixed() {
	if x.geo.reserved > 0 {
		x.data(x.geo.resizeBlock())
	}
	if x.geo.journal > 0 {
		x.data(journalSuper(x.geo.journal, x.volume.UUID))
		x.skip(x.geo.journal - 1)
	}
	x.extentBlocks(&x.journal, journalInode)
}

func (x *writer) extentBlocks(n *node, number uint32) {
	if n.tree > 0 {
		_, blocks := x.geo.extentTree(n, x.inodeSum(number))
		x.data(blocks)
	}
}

// allFolders writes folders and extended attributes.
func (x *writer) allFolders() error {
	for n := range x.list {
		if !x.isDir(n) {
			continue
		}
		b, err := x.folder(n)
		if err != nil {
			return err
		}
		x.data(b)
		x.extentBlocks(&x.list[n], inode(n))
		if x.out.err != nil {
			return x.out.err
		}
	}
	b, err := x.xattrBlocks()
	if err != nil {
		return err
	}
	x.data(b)
	return x.out.err
}
