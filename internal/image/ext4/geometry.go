package ext4

import "sort"

const (
	blockSize      = 4096
	inodeSize      = 256
	groupBlocks    = 8 * blockSize // what one block of a bitmap covers
	inodesPerBlock = blockSize / inodeSize
	maxGroupInodes = 8 * blockSize

	maxBlocks = 64 << 40 / blockSize // so that the descriptors fit into a group with room to spare
	growTo    = 1 << 40 / blockSize  // every filesystem can grow at least to this while mounted
	growBy    = 1024                 // and by this factor, as mke2fs prepares it
	addresses = blockSize / 4        // block numbers in one block of the resize inode
	minGroup  = 50                   // usable blocks without which a last group is left out
)

// geometry is how a filesystem of some number of blocks is divided.
//
// Everything that a group holds for the filesystem lies at its front: a copy
// of the superblock and the descriptors in some, then, in the first group of
// every flex group, the bitmaps and inode tables of all groups of that. What
// remains of the groups, taken together, is the data area; a position in it is
// called a slot. Blocks and inodes are handed out in order, so that the used
// ones of each group are its first.
type geometry struct {
	blocks         int64
	groups         int
	inodesPerGroup int
	tableBlocks    int // of one inode table
	wide           bool
	descBlocks     int // of the group descriptors
	reserved       int // blocks kept for more descriptors
	flex           int // groups in a flex group
	journal        int64

	slots []int64 // first slot of every group, and their sum at the end
}

// newGeometry divides blocks for at least so many inodes; ok is false if they
// can never be that many.
func newGeometry(blocks, inodes int64) (g *geometry, ok bool) {
	g = &geometry{blocks: blocks}
	for {
		g.wide = g.blocks > maxNarrow
		g.groups = int(ceil(g.blocks, groupBlocks))
		if !g.divideInodes(inodes) {
			return g, false
		}
		g.descBlocks = int(ceil(int64(g.groups), int64(blockSize/g.descSize())))
		g.reserved = g.reserve()
		for g.flex = 16; g.flex > 1 && g.flex*(2+g.tableBlocks) > groupBlocks/2; {
			g.flex /= 2
		}
		last := g.groups - 1
		if last == 0 || g.size(last) >= g.front(last)+minGroup {
			break
		}
		g.blocks = int64(last) * groupBlocks
	}
	g.journal = journalBlocks(g.blocks)
	g.slots = make([]int64, g.groups+1)
	for i := range g.groups {
		g.slots[i+1] = g.slots[i] + max(0, g.size(i)-g.front(i))
	}
	return g, true
}

// divideInodes takes mke2fs's usual ratios, or more where the tree needs more.
func (g *geometry) divideInodes(atLeast int64) bool {
	ratio := int64(16 << 10)
	switch bytes := g.blocks * blockSize; {
	case bytes > 16<<40:
		ratio = 64 << 10
	case bytes > 4<<40:
		ratio = 32 << 10
	}
	n := ceil(max(g.blocks*blockSize/ratio, atLeast), int64(g.groups))
	n = ceil(n, inodesPerBlock) * inodesPerBlock
	g.inodesPerGroup, g.tableBlocks = int(n), int(n/inodesPerBlock)
	return n <= maxGroupInodes && n*int64(g.groups) < 1<<32
}

// reserve is the number of blocks behind the descriptors that the resize
// inode keeps for growth.
func (g *geometry) reserve() int {
	if g.wide {
		return 0 // the kernel grows such a one with meta_bg
	}
	most := min(maxNarrow, max(g.blocks*growBy, growTo))
	n := int(ceil(ceil(most, groupBlocks), int64(blockSize/g.descSize())))
	return max(0, min(n-g.descBlocks, addresses))
}

func (g *geometry) descSize() int {
	if g.wide {
		return 64
	}
	return 32
}

// hasSuper says which groups hold copies of the superblock and the
// descriptors (sparse_super): 0, 1 and the powers of 3, 5 and 7.
func hasSuper(group int) bool {
	if group <= 1 {
		return true
	}
	for _, base := range []int{3, 5, 7} {
		n := base
		for n < group {
			n *= base
		}
		if n == group {
			return true
		}
	}
	return false
}

// superBlocks is what the copies take at the beginning of a group.
func (g *geometry) superBlocks(group int) int64 {
	if !hasSuper(group) {
		return 0
	}
	return int64(1 + g.descBlocks + g.reserved)
}

// flexSize is the number of groups whose bitmaps and tables lie in this one.
func (g *geometry) flexSize(group int) int {
	if group%g.flex != 0 {
		return 0
	}
	return min(g.flex, g.groups-group)
}

// front is the number of blocks that the filesystem itself takes of a group.
func (g *geometry) front(group int) int64 {
	return g.superBlocks(group) + int64(g.flexSize(group)*(2+g.tableBlocks))
}

// size is the number of blocks of a group; only the last may be shorter.
func (g *geometry) size(group int) int64 {
	return min(groupBlocks, g.blocks-int64(group)*groupBlocks)
}

func (g *geometry) inodes() int64 { return int64(g.inodesPerGroup) * int64(g.groups) }

// capacity is the number of slots.
func (g *geometry) capacity() int64 { return g.slots[g.groups] }

// overhead is the number of blocks that never hold data.
func (g *geometry) overhead() int64 { return g.blocks - g.capacity() + g.journal }

// places of the bitmaps and the inode table of a group.
func (g *geometry) blockBitmap(group int) int64 {
	lead := group - group%g.flex
	return int64(lead)*groupBlocks + g.superBlocks(lead) + int64(group-lead)
}

func (g *geometry) inodeBitmap(group int) int64 {
	return g.blockBitmap(group) + int64(g.flexSize(group-group%g.flex))
}

func (g *geometry) inodeTable(group int) int64 {
	lead := group - group%g.flex
	n := int64(g.flexSize(lead))
	return int64(lead)*groupBlocks + g.superBlocks(lead) + 2*n + int64(group-lead)*int64(g.tableBlocks)
}

// groupOf is the group that holds a slot.
func (g *geometry) groupOf(slot int64) int {
	return sort.Search(g.groups-1, func(i int) bool { return g.slots[i+1] > slot })
}

// block is the block number of a slot.
func (g *geometry) block(slot int64) int64 {
	i := g.groupOf(slot)
	return int64(i)*groupBlocks + g.front(i) + slot - g.slots[i]
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// maxNarrow is the number of blocks beyond which the 64bit feature is needed;
// a variable for tests.
var maxNarrow int64 = 1<<32 - 1
