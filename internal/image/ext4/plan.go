package ext4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// plan is a filesystem that was laid out.
//
// The slots of the data area are used in this order: the block of the resize
// inode, the journal, folders, blocks of extended attributes, and files with
// slow symbolic links, in the order of the manifest.
type plan struct {
	*nodes
	geo     *geometry
	volume  image.VolumeOptions
	content tree.Content
	sum     crc // of the UUID, with which other checksums begin
	seed    [16]byte

	shared     []sharedXattrs
	resizeSlot int64
	journal    node
	xattrSlot  int64
	used       int64 // slots
	folders    []int // per group
}

// sharedXattrs is a block of extended attributes, made from those of a node.
type sharedXattrs struct {
	node int32
	refs uint32
}

func newPlan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (*plan, error) {
	t, err := newNodes(m, image.Options{Epoch: opt.Epoch})
	if err != nil {
		return nil, err
	}
	p := &plan{nodes: t, volume: opt, content: c, sum: crcStart.bytes(opt.UUID[:]), seed: hashSeed(opt.UUID)}
	if err := p.shareXattrs(); err != nil {
		return nil, err
	}
	for n := range p.list {
		if n&0xfff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := p.countBlocks(n); err != nil {
			return nil, err
		}
	}
	if opt.Size == 0 {
		err = p.fit(opt.Free)
	} else {
		err = p.fill(opt.Size)
	}
	if err != nil {
		return nil, err
	}
	p.countFolders()
	return p, nil
}

// countBlocks finds how many blocks the content of a node takes.
func (p *plan) countBlocks(n int) (err error) {
	node := &p.list[n]
	switch {
	case p.isSpare(n):
		node.blocks = lostBlocks
	case p.isDir(n):
		if node.blocks, err = folderBlocks(p.dirents(n), &p.seed); err != nil {
			return fmt.Errorf("%q: %w", p.entryOf(n).Path, err)
		}
	default:
		node.blocks = contentBlocks(p.entryOf(n))
	}
	return nil
}

// shareXattrs finds the blocks of extended attributes; nodes with the same
// ones share them.
func (p *plan) shareXattrs() error {
	same := make(map[[sha256.Size]byte]int32)
	for n := range p.list {
		e := p.entryOf(n)
		if e == nil || len(e.Xattrs) == 0 {
			continue
		}
		block, err := p.blockXattrs(n)
		if err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
		if len(block) == 0 {
			continue
		}
		key := sha256.Sum256(xattrBlock(block, 0, 0, 0))
		at, ok := same[key]
		if !ok || p.shared[at].refs == xattrMaxRefs {
			at = int32(len(p.shared))
			p.shared = append(p.shared, sharedXattrs{node: int32(n)})
			same[key] = at
		}
		p.shared[at].refs++
		p.list[n].xattrs = at + 1
	}
	return nil
}

// blockXattrs are the attributes of a node that do not fit into its inode.
func (p *plan) blockXattrs(n int) ([]xattr, error) {
	list, err := xattrs(p.entryOf(n).Xattrs)
	if err != nil {
		return nil, err
	}
	_, block, err := splitXattrs(list)
	return block, err
}

func (p *plan) usedInodes() int64 { return int64(len(p.list)) + lostFoundInode - 2 }

// wantedInodes leaves room for new files.
func (p *plan) wantedInodes() int64 { return p.usedInodes() + p.usedInodes()/8 + 64 }

// place lays everything out in a geometry, and returns how many slots that
// takes, which may be more than there are.
func (p *plan) place(g *geometry) int64 {
	p.geo = g
	at := int64(0)
	group := 0
	put := func(n *node) {
		n.start = at
		at += n.blocks
		first := group
		for group < g.groups-1 && g.slots[group+1] <= n.start {
			group++
			first = group
		}
		for group < g.groups-1 && g.slots[group+1] < at {
			group++
		}
		n.tree = treeBlocks(int64(group - first + 1))
		at += n.tree
	}
	if g.reserved > 0 {
		p.resizeSlot = at
		at++
	}
	p.journal = node{blocks: g.journal}
	put(&p.journal)
	for n := range p.list {
		if p.isDir(n) {
			put(&p.list[n])
		}
	}
	p.xattrSlot = at
	at += int64(len(p.shared))
	for n := range p.list {
		if !p.isDir(n) {
			put(&p.list[n])
		}
	}
	p.used = at
	return at
}

// fill lays the tree out in a volume of some size.
func (p *plan) fill(size int64) error {
	if size/blockSize > maxBlocks {
		return fmt.Errorf("a volume of %d bytes: this writer makes ext4 of at most %d", size, int64(maxBlocks*blockSize))
	}
	blocks := max(1, size/blockSize)
	if g, ok := newGeometry(blocks, p.wantedInodes()); ok && p.place(g) <= g.capacity() {
		return nil
	}
	g, ok := newGeometry(blocks, p.usedInodes())
	if !ok {
		return fmt.Errorf("the tree has %d files, folders and links, more than a volume of %d bytes can hold; give it at least %d bytes",
			p.usedInodes(), size, ceil(p.usedInodes(), maxGroupInodes)*groupBlocks*blockSize)
	}
	if need := p.place(g); need > g.capacity() {
		return fmt.Errorf("the tree needs %d bytes, but a volume of %d bytes has only %d available beside what ext4 itself takes; "+
			"make the volume larger, or the tree smaller", (need-g.journal)*blockSize, size, max(0, g.capacity()-g.journal)*blockSize)
	}
	return nil
}

// fit finds the smallest size with so many bytes free, in steps of 1 MiB.
func (p *plan) fit(free int64) error {
	const step = 1 << 20 / blockSize
	blocks := int64(step)
	for blocks <= maxBlocks {
		g, ok := newGeometry(blocks, p.wantedInodes())
		if !ok {
			blocks += groupBlocks
			continue
		}
		missing := p.place(g) + ceil(free, blockSize) - g.capacity()
		if missing <= 0 && g.blocks == blocks {
			p.volume.Size = blocks * blockSize
			return nil
		}
		blocks = ceil(blocks+max(missing, 1), step) * step
	}
	return fmt.Errorf("the tree and %d free bytes need more than %d bytes", free, int64(maxBlocks*blockSize))
}

// folder makes the blocks of a folder.
func (p *plan) folder(n int) ([]byte, error) {
	sum := p.inodeSum(inode(n))
	if p.isSpare(n) {
		return emptyLostFound(sum), nil
	}
	return folder(inode(n), p.parentOf(n), p.dirents(n), &p.seed, sum)
}

// xattrBlocks makes all blocks of extended attributes.
func (p *plan) xattrBlocks() ([]byte, error) {
	var out bytes.Buffer
	for i, s := range p.shared {
		list, err := p.blockXattrs(int(s.node))
		if err != nil {
			return nil, err
		}
		out.Write(xattrBlock(list, s.refs, p.geo.block(p.xattrSlot+int64(i)), p.sum))
	}
	return out.Bytes(), nil
}
