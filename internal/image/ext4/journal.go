package ext4

import "encoding/binary"

// journalBlocks is the size of the journal, as mke2fs chooses it; 0 in a
// filesystem that is too small for one.
func journalBlocks(blocks int64) int64 {
	const mib = 1 << 20 / blockSize
	for _, step := range []struct{ below, journal int64 }{
		{8, 0}, {128, 4}, {1 << 10, 16}, {2 << 10, 32}, {16 << 10, 64}, {32 << 10, 128}, {64 << 10, 256}, {128 << 10, 512},
	} {
		if blocks < step.below*mib {
			return step.journal * mib
		}
	}
	return 1 << 10 * mib
}

// journalSuper is the first block of an empty journal; the others are zero.
// It is big-endian: https://docs.kernel.org/filesystems/ext4/journal.html#super-block
func journalSuper(blocks int64, uuid [16]byte) []byte {
	b := make([]byte, blockSize)
	for _, f := range []struct {
		off   int
		value uint32
	}{
		{0x00, 0xc03b3998},
		{0x04, 4}, // superblock, version 2
		{0x0c, blockSize},
		{0x10, uint32(blocks)},
		{0x14, 1}, // first block of the log
		{0x18, 1}, // first transaction
		{0x40, 1}, // users
	} {
		binary.BigEndian.PutUint32(b[f.off:], f.value)
	}
	copy(b[0x30:], uuid[:])
	return b
}
