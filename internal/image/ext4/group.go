package ext4

// Groups: https://docs.kernel.org/filesystems/ext4/globals.html#block-group-descriptors
const (
	groupInodeUninit = 1 // the bitmap was never written
	groupBlockUninit = 2
	groupTableZeroed = 4 // what is not used of the inode table is zero
)

// groupUse is what is used of a group.
type groupUse struct {
	blocks  int64 // at its front, the filesystem's own included
	inodes  int64 // at the front of its table
	folders int
	flags   uint16
}

func (p *plan) use(group int) groupUse {
	g := p.geo
	data := min(max(p.used-g.slots[group], 0), g.slots[group+1]-g.slots[group])
	first := int64(group) * int64(g.inodesPerGroup)
	u := groupUse{
		blocks:  g.front(group) + data,
		inodes:  min(max(p.usedInodes()-first, 0), int64(g.inodesPerGroup)),
		folders: p.folders[group],
		flags:   groupTableZeroed,
	}
	if u.inodes == 0 {
		u.flags |= groupInodeUninit
	}
	if data == 0 && g.flexSize(group) == 0 && group != g.groups-1 {
		u.flags |= groupBlockUninit // only what the kernel can compute is used
	}
	return u
}

// countFolders counts them per group of inodes.
func (p *plan) countFolders() {
	p.folders = make([]int, p.geo.groups)
	for n := range p.list {
		if p.isDir(n) {
			p.folders[(int(inode(n))-1)/p.geo.inodesPerGroup]++
		}
	}
}

// descriptor writes the descriptor of a group.
func (p *plan) descriptor(b []byte, group int) {
	g, u := p.geo, p.use(group)
	put := func(lo, hi int, v int64) {
		put32(b, lo, uint32(v))
		if g.wide {
			put32(b, hi, uint32(v>>32))
		}
	}
	put(0x00, 0x20, g.blockBitmap(group))
	put(0x04, 0x24, g.inodeBitmap(group))
	put(0x08, 0x28, g.inodeTable(group))
	put16(b, 0x0c, uint16(g.size(group)-u.blocks))
	put16(b, 0x0e, uint16(int64(g.inodesPerGroup)-u.inodes))
	put16(b, 0x10, uint16(u.folders))
	put16(b, 0x12, u.flags)
	put16(b, 0x1c, uint16(int64(g.inodesPerGroup)-u.inodes)) // unused inodes at the end of the table
	var bitmap [blockSize]byte
	if u.flags&groupBlockUninit == 0 {
		g.putBlockBitmap(bitmap[:], group, u)
		put16(b, 0x18, uint16(p.sum.bytes(bitmap[:])))
		if g.wide {
			put16(b, 0x38, uint16(p.sum.bytes(bitmap[:])>>16))
		}
	}
	if u.flags&groupInodeUninit == 0 {
		clear(bitmap[:])
		g.putInodeBitmap(bitmap[:], u)
		sum := p.sum.bytes(bitmap[:g.inodesPerGroup/8])
		put16(b, 0x1a, uint16(sum))
		if g.wide {
			put16(b, 0x3a, uint16(sum>>16))
		}
	}
	put16(b, 0x1e, uint16(p.sum.u32(uint32(group)).bytes(b[:g.descSize()])))
}

func (g *geometry) putBlockBitmap(b []byte, group int, u groupUse) {
	setBits(b, 0, u.blocks)
	setBits(b, g.size(group), groupBlocks)
}

func (g *geometry) putInodeBitmap(b []byte, u groupUse) {
	setBits(b, 0, u.inodes)
	setBits(b, int64(g.inodesPerGroup), 8*blockSize)
}

// setBits sets the bits from one to before another.
func setBits(b []byte, from, to int64) {
	for ; from < to && from%8 != 0; from++ {
		b[from/8] |= 1 << (from % 8)
	}
	for ; from+8 <= to; from += 8 {
		b[from/8] = 0xff
	}
	for ; from < to; from++ {
		b[from/8] |= 1 << (from % 8)
	}
}
