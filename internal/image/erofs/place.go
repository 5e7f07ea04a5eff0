package erofs

import (
	"fmt"
	"math"

	"slipway/internal/tree"
)

// layout is how an inode's data lies (EROFS_INODE_*).
type layout uint16

const (
	flatPlain  layout = 0 // in blocks
	compressed layout = 1 // in blocks that an index names, in its full form
	flatInline layout = 2 // in blocks, and the end beside the inode
)

const (
	slotSize = 32 // inodes begin at multiples of it

	// maxTail is when an end takes a block of its own. Ends must not cross
	// blocks, and moving a longer one on wastes more than it saves.
	maxTail = 3000
	// maxInline is the longest content whose end lies beside the inode: it is
	// read twice.
	maxInline = 64 << 10
)

// place gives every inode its position, then every content its blocks. The
// first inode, the root, is near the beginning, as its 16-bit number demands.
func (v *volume) place() error {
	pos := int64(blockSize)
	for _, n := range v.inodes {
		n.arrange()
		n.pos = (pos + slotSize - 1) &^ (slotSize - 1)
		head := n.headSize()
		if n.tail > 0 {
			if begin := n.pos + head; begin/blockSize != (begin+int64(n.tail)-1)/blockSize {
				next := (begin/blockSize + 1) * blockSize
				n.pos = (next - head + slotSize - 1) &^ (slotSize - 1)
			}
		}
		pos = n.pos + head + int64(n.tail)
	}
	v.metaEnd = (pos + blockSize - 1) &^ (blockSize - 1)
	v.blocks = v.metaEnd / blockSize
	for _, n := range v.inodes {
		n.blkaddr = uint32(v.blocks)
		if v.blocks += n.blocks; v.blocks > math.MaxUint32 {
			return fmt.Errorf("more than erofs's 16 TiB of data")
		}
	}
	return v.setSize()
}

func (v *volume) setSize() error {
	used := v.blocks * blockSize
	switch {
	case v.opt.Size == 0:
		v.size = used + (max(v.opt.Free, 0)+blockSize-1)&^(blockSize-1)
	case v.opt.Size < used:
		return fmt.Errorf("the tree needs %d bytes, and the volume is to have %d; make it larger", used, v.opt.Size)
	default:
		v.size = v.opt.Size
	}
	return nil
}

// arrange chooses the layout.
func (n *inode) arrange() {
	if n.extents != nil {
		n.layout = compressed
		for _, x := range n.extents {
			n.blocks += x.size() / blockSize
		}
		return
	}
	n.blocks = (n.size + blockSize - 1) / blockSize
	tail := int(n.size % blockSize)
	// A target must lie beside the inode as a whole for the kernel's fast way,
	// which is no must.
	if tail > 0 && tail <= maxTail && (n.e.Type != tree.File || n.size <= maxInline) {
		n.layout, n.tail = flatInline, tail
		n.blocks--
	}
}

// headSize is the size of an inode with all that follows it but the tail.
func (n *inode) headSize() int64 {
	size := int64(32)
	if n.extended {
		size = 64
	}
	size += int64(len(n.xattrs))
	if n.layout == compressed {
		size = (size+7)&^7 + indexSize(n.size)
	}
	return size
}
