package ext4

import "golang.org/x/sys/unix"

// The resize inode owns the blocks that are kept for more descriptors, so
// that a mounted filesystem can grow. It is mapped by a block of block
// numbers, as files of ext2 are: the one doubly indirect block names the
// reserved blocks behind the descriptors of group 0, and each of these names
// its copies in the other groups.

// doublyIndirect is the place of its number among those of an inode.
const doublyIndirect = 13

func (p *plan) resizeFields() inodeFields {
	f := inodeFields{mode: unix.S_IFREG | 0o600, links: 1, sec: p.time,
		size:   (addresses*addresses + addresses + 12) * blockSize,
		blocks: 1 + int64(p.geo.reserved)*int64(1+len(p.geo.backups()))}
	put32(f.data[:], 4*doublyIndirect, uint32(p.geo.block(p.resizeSlot)))
	return f
}

// resizeBlock is the doubly indirect block.
func (g *geometry) resizeBlock() []byte {
	b := make([]byte, blockSize)
	for i := range g.reserved {
		n := g.descBlocks + i
		put32(b, n%addresses*4, uint32(1+n))
	}
	return b
}

// reservedBlock is the i-th reserved block of group 0; those of other groups
// are zero.
func (g *geometry) reservedBlock(b []byte, i int, backups []int) {
	for j, group := range backups {
		put32(b, 4*j, uint32(group*groupBlocks+1+g.descBlocks+i))
	}
}

// backups are the groups that hold copies, group 0 left out.
func (g *geometry) backups() (out []int) {
	for i := 1; i < g.groups; i++ {
		if hasSuper(i) {
			out = append(out, i)
		}
	}
	return out
}
