package uki

import "encoding/binary"

// checksum sums up a PE file as the optional header's CheckSum wants it: the
// 16-bit words with the carry added at the low end, the field itself taken as
// zero, and the size of the file.
type checksum struct {
	skip int64 // offset of the field; even
	size int64
	sum  uint64 // not folded; 2^16 counts as 1
}

func (c *checksum) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if whole := len(b) &^ 7; whole > 0 && c.size&1 == 0 && c.size >= c.skip+4 {
			c.words(b[:whole])
			b = b[whole:]
			continue
		}
		c.one(b[0])
		b = b[1:]
	}
	return n, nil
}

// words adds a multiple of eight bytes from an even offset.
func (c *checksum) words(b []byte) {
	c.size += int64(len(b))
	sum := c.sum
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		sum += v&0xffffffff + v>>32
	}
	c.sum = fold(sum)
}

func (c *checksum) one(v byte) {
	if c.size < c.skip || c.size >= c.skip+4 {
		c.sum = fold(c.sum + uint64(v)<<(8*(c.size&1)))
	}
	c.size++
}

// fold adds the carries once, so that no further sum overflows.
func fold(sum uint64) uint64 { return sum&0xffffffff + sum>>32 }

func (c *checksum) value() uint32 {
	sum := c.sum
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint32(sum) + uint32(c.size)
}
