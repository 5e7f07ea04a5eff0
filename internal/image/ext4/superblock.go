package ext4

import "crypto/sha256"

// Features, and other values of the superblock:
// https://docs.kernel.org/filesystems/ext4/globals.html#super-block
const (
	magic = 0xef53

	compatJournal = 0x4
	compatXattr   = 0x8
	compatResize  = 0x10
	compatIndex   = 0x20

	incompatFileType = 0x2
	incompatExtents  = 0x40
	incompat64bit    = 0x80
	incompatFlex     = 0x200

	roSparseSuper = 0x1
	roLargeFile   = 0x2
	roHugeFile    = 0x8
	roDirNlink    = 0x20
	roExtraSize   = 0x40
	roChecksums   = 0x400

	flagSignedHash   = 1
	mountXattrACL    = 0x4 | 0x8 // user_xattr, acl
	superOffset      = 1024
	superSize        = 1024
	maxReservedBlock = 1 << 30 / blockSize
)

// hashSeed of folders follows from the UUID.
func hashSeed(uuid [16]byte) (seed [16]byte) {
	sum := sha256.Sum256(append([]byte("ext4 directory hash of "), uuid[:]...))
	copy(seed[:], sum[:])
	seed[6], seed[8] = seed[6]&0x0f|0x40, seed[8]&0x3f|0x80 // looks like a UUID, as with mke2fs
	return seed
}

// reservedFor root, so that a full disk can still be repaired: 5 % of it, but
// 1 GiB at most.
func reservedFor(blocks int64) int64 { return min(blocks/20, maxReservedBlock) }

// superblock is the copy that lies in a group.
func (p *plan) superblock(group int) []byte {
	b := make([]byte, superSize)
	g := p.geo
	put32(b, 0x00, uint32(g.inodes()))
	p.putCounts(b)
	put32(b, 0x18, 2) // blocks of 1024<<2 bytes
	put32(b, 0x1c, 2)
	put32(b, 0x20, groupBlocks)
	put32(b, 0x24, groupBlocks)
	put32(b, 0x28, uint32(g.inodesPerGroup))
	put16(b, 0x36, 0xffff) // no check after some number of mounts
	put16(b, 0x38, magic)
	put16(b, 0x3a, 1) // clean
	put16(b, 0x3c, 1) // go on after errors
	put32(b, 0x4c, 1) // revision
	put32(b, 0x54, lostFoundInode)
	put16(b, 0x58, inodeSize)
	put16(b, 0x5a, uint16(group))
	p.putFeatures(b)
	copy(b[0x68:], p.volume.UUID[:])
	copy(b[0x78:0x88], p.volume.Label)
	put16(b, 0xce, uint16(g.reserved))
	copy(b[0xec:], p.seed[:])
	b[0xfc] = hashHalfMD4
	put32(b, 0x100, mountXattrACL)
	put16(b, 0x15c, extraSize)
	put16(b, 0x15e, extraSize)
	put32(b, 0x160, flagSignedHash)
	b[0x174] = log2(g.flex)
	b[0x175] = 1 // checksums are CRC-32C
	p.putTimes(b)
	p.putJournal(b)
	put32(b, 0x3fc, uint32(crcStart.bytes(b[:0x3fc])))
	return b
}

// putCounts writes numbers of blocks and inodes.
func (p *plan) putCounts(b []byte) {
	for _, f := range []struct {
		lo, hi int
		n      int64
	}{{0x04, 0x150, p.geo.blocks}, {0x08, 0x154, reservedFor(p.geo.blocks)}, {0x0c, 0x158, p.geo.capacity() - p.used}} {
		put32(b, f.lo, uint32(f.n))
		put32(b, f.hi, uint32(f.n>>32))
	}
	put32(b, 0x10, uint32(p.geo.inodes()-p.usedInodes()))
	put32(b, 0x248, uint32(p.geo.overhead()))
}

func (p *plan) putFeatures(b []byte) {
	compat := uint32(compatXattr | compatIndex)
	if p.geo.journal > 0 {
		compat |= compatJournal
	}
	if p.geo.reserved > 0 {
		compat |= compatResize
	}
	incompat := uint32(incompatFileType | incompatExtents | incompatFlex)
	if p.geo.wide {
		incompat |= incompat64bit
		put16(b, 0xfe, uint16(p.geo.descSize()))
	}
	put32(b, 0x5c, compat)
	put32(b, 0x60, incompat)
	put32(b, 0x64, roSparseSuper|roLargeFile|roHugeFile|roDirNlink|roExtraSize|roChecksums)
}

// putTimes writes when it was made, last written and last checked: at the
// time of the newest entry.
func (p *plan) putTimes(b []byte) {
	for _, off := range [][2]int{{0x108, 0x276}, {0x30, 0x274}, {0x40, 0x277}} {
		put32(b, off[0], uint32(p.time))
		b[off[1]] = byte(p.time >> 32)
	}
}

// putJournal names the inode of the journal and keeps a copy of its map.
func (p *plan) putJournal(b []byte) {
	if p.geo.journal == 0 {
		return
	}
	put32(b, 0xe0, journalInode)
	b[0xfd] = 1
	root, _ := p.geo.extentTree(&p.journal, p.inodeSum(journalInode))
	copy(b[0x10c:], root[:])
	size := p.journal.blocks * blockSize
	put32(b, 0x10c+60, uint32(size>>32))
	put32(b, 0x10c+64, uint32(size))
}

func log2(n int) (l byte) {
	for ; n > 1; n /= 2 {
		l++
	}
	return l
}
