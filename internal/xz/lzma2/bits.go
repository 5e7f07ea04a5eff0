package lzma2

// The bits of the range coder. In trees the decision is made by arithmetic
// instead of a branch: the processor would guess it wrong too often. mask has
// all bits set when the bit is 0.

// toZero makes p - (p+toZero)>>5 what p + (2048-p)>>5 is: the step towards a 0.
const toZero = 1<<32 + 31 - 2048

// one decodes a single bit.
func one(probs *probTable, in *inBuffer, i, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	i &= probMask
	if rng < top {
		rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
	}
	p := uint32(probs[i])
	bound := rng >> 11 * p
	if code < bound {
		probs[i] = uint16(p + (2048-p)>>5)
		return 0, bound, code, pos
	}
	probs[i] = uint16(p - p>>5)
	return 1, rng - bound, code - bound, pos
}

// tree decodes a number below limit, a power of two, its highest bit first.
func tree(probs *probTable, in *inBuffer, base, limit, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	symbol := uint32(1)
	for symbol < limit {
		i := (base + symbol) & probMask
		if rng < top {
			rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
		}
		p := uint32(probs[i])
		bound := rng >> 11 * p
		mask := uint32(int64(uint64(code)-uint64(bound)) >> 63)
		rng = rng - bound + mask&(2*bound-rng)
		code -= bound &^ mask
		probs[i] = uint16(int32(p) - int32(p+mask&toZero)>>5)
		symbol = symbol<<1 + 1 + mask
	}
	return symbol - limit, rng, code, pos
}

// literal is tree for a byte.
func literal(probs *probTable, in *inBuffer, base, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	return tree(probs, in, base, 0x100, rng, code, pos)
}

// matchedLiteral decodes a byte that is not the one at the last distance, which
// says something about its bits.
func matchedLiteral(probs *probTable, in *inBuffer, base, match, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	symbol, offset := uint32(1), uint32(0x100)
	for symbol < 0x100 {
		match <<= 1
		expected := match & offset
		i := (base + offset + expected + symbol) & probMask
		if rng < top {
			rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
		}
		p := uint32(probs[i])
		bound := rng >> 11 * p
		mask := uint32(int64(uint64(code)-uint64(bound)) >> 63)
		rng = rng - bound + mask&(2*bound-rng)
		code -= bound &^ mask
		probs[i] = uint16(int32(p) - int32(p+mask&toZero)>>5)
		symbol = symbol<<1 + 1 + mask
		offset &= expected ^ mask
	}
	return symbol & 0xff, rng, code, pos
}

// reverse decodes a number of n bits, its lowest bit first.
func reverse(probs *probTable, in *inBuffer, base, n, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	symbol, value := uint32(1), uint32(0)
	for k := uint32(0); k < n; k++ {
		i := (base + symbol) & probMask
		if rng < top {
			rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
		}
		p := uint32(probs[i])
		bound := rng >> 11 * p
		mask := uint32(int64(uint64(code)-uint64(bound)) >> 63)
		rng = rng - bound + mask&(2*bound-rng)
		code -= bound &^ mask
		probs[i] = uint16(int32(p) - int32(p+mask&toZero)>>5)
		symbol = symbol<<1 + 1 + mask
		value |= (1 + mask) << (k & 31)
	}
	return value, rng, code, pos
}

// direct decodes n bits that are as often 0 as 1.
func direct(in *inBuffer, n, rng, code uint32, pos int) (uint32, uint32, uint32, int) {
	value := uint32(0)
	for range n {
		if rng < top {
			rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
		}
		rng >>= 1
		code -= rng
		mask := -(code >> 31) // it was smaller: the bit is 0
		code += rng & mask
		value = value<<1 + 1 + mask
	}
	return value, rng, code, pos
}

// lengthOf decodes a length, less minMatch.
func lengthOf(probs *probTable, in *inBuffer, base, posState, rng, code uint32, pos int) (n, rng2, code2 uint32, pos2 int) {
	bit, rng, code, pos := one(probs, in, base+lenChoice, rng, code, pos)
	if bit == 0 {
		return tree(probs, in, base+lenLow+posState<<3, 8, rng, code, pos)
	}
	bit, rng, code, pos = one(probs, in, base+lenChoice2, rng, code, pos)
	if bit == 0 {
		n, rng, code, pos = tree(probs, in, base+lenMid+posState<<3, 8, rng, code, pos)
		return n + 8, rng, code, pos
	}
	n, rng, code, pos = tree(probs, in, base+lenHigh, 256, rng, code, pos)
	return n + 16, rng, code, pos
}

// distance decodes how far back a match of this length lies, less 1.
func distance(probs *probTable, in *inBuffer, length, rng, code uint32, pos int) (d, rng2, code2 uint32, pos2 int) {
	slot, rng, code, pos := tree(probs, in, distSlot+min(length, 3)<<6, 64, rng, code, pos)
	if slot < 4 {
		return slot, rng, code, pos
	}
	bits := slot>>1 - 1
	d = (2 | slot&1) << (bits & 31)
	var low uint32
	if slot < 14 {
		low, rng, code, pos = reverse(probs, in, distSpec+d-slot, bits, rng, code, pos)
		return d + low, rng, code, pos
	}
	low, rng, code, pos = direct(in, bits-4, rng, code, pos)
	d += low << 4
	low, rng, code, pos = reverse(probs, in, distAlign, 4, rng, code, pos)
	return d + low, rng, code, pos
}
