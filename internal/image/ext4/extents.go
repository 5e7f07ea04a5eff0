package ext4

// extentFormat: https://docs.kernel.org/filesystems/ext4/dynamic.html#extent-tree
const (
	extentMagic   = 0xf30a
	extentEntry   = 12
	rootExtents   = 4                             // in an inode
	extentsOf     = (blockSize-4)/extentEntry - 1 // in a block, with a checksum behind
	extentTailOff = extentEntry * (extentsOf + 1)
)

// extent is a run of blocks. It never leaves a group, so that its length fits.
type extent struct {
	logical  uint32
	length   int64
	physical int64
}

// extents maps a run of slots to blocks.
func (g *geometry) extents(start, blocks int64) []extent {
	var out []extent
	end := start + blocks
	group := g.groupOf(start)
	for at := start; at < end; group++ {
		n := min(end, g.slots[group+1]) - at
		if n <= 0 {
			continue
		}
		out = append(out, extent{uint32(at - start), n, int64(group)*groupBlocks + g.front(group) + at - g.slots[group]})
		at += n
	}
	return out
}

// treeBlocks is the number of blocks of an extent tree beside its root.
func treeBlocks(extents int64) (total int64) {
	for n := extents; n > rootExtents; {
		n = ceil(n, extentsOf)
		total += n
	}
	return total
}

// extentTree makes the root of the tree, as it lies in an inode, and the
// blocks below it, which lie behind the content: leaves first.
func (g *geometry) extentTree(n *node, sum crc) (root [60]byte, blocks []byte) {
	level := g.extents(n.start, n.blocks)
	depth := 0
	slot := n.start + n.blocks
	for len(level) > rootExtents {
		var up []extent
		for len(level) > 0 {
			part := level[:min(len(level), extentsOf)]
			level = level[len(part):]
			b := make([]byte, blockSize)
			putExtents(b, part, extentsOf, depth)
			put32(b, extentTailOff, uint32(sum.bytes(b[:extentTailOff])))
			blocks = append(blocks, b...)
			up = append(up, extent{logical: part[0].logical, physical: g.block(slot)})
			slot++
		}
		level = up
		depth++
	}
	putExtents(root[:], level, rootExtents, depth)
	return root, blocks
}

func putExtents(b []byte, list []extent, room, depth int) {
	put16(b, 0, extentMagic)
	put16(b, 2, uint16(len(list)))
	put16(b, 4, uint16(room))
	put16(b, 6, uint16(depth))
	for i, x := range list {
		at := b[extentEntry*(i+1):]
		put32(at, 0, x.logical)
		if depth == 0 {
			put16(at, 4, uint16(x.length))
			put16(at, 6, uint16(x.physical>>32))
			put32(at, 8, uint32(x.physical))
		} else {
			put32(at, 4, uint32(x.physical))
			put16(at, 8, uint16(x.physical>>32))
		}
	}
}
