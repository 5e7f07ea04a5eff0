package uki

// checksum sums up a PE file as the optional header's CheckSum wants it: the
// 16-bit words with the carry added at the low end, the field itself taken as
// zero, and the size of the file.
type checksum struct {
	skip int64 // offset of the field; even
	size int64
	sum  uint32
}

func (c *checksum) Write(b []byte) (int, error) {
	for i, v := range b {
		at := c.size + int64(i)
		if at >= c.skip && at < c.skip+4 {
			continue
		}
		c.sum += uint32(v) << (8 * (at & 1))
		c.sum = c.sum&0xffff + c.sum>>16
	}
	c.size += int64(len(b))
	return len(b), nil
}

func (c *checksum) value() uint32 {
	sum := c.sum&0xffff + c.sum>>16
	return sum + uint32(c.size)
}
