package lzma2

// The probabilities of all bits of the model, in one array whose size is a
// power of two so that a masked index needs no check.
const (
	states    = 12
	posStates = 16

	isMatch    = 0
	isRep      = isMatch + states*posStates
	isRepG0    = isRep + states
	isRepG1    = isRepG0 + states
	isRepG2    = isRepG1 + states
	isRep0Long = isRepG2 + states
	distSlot   = isRep0Long + states*posStates // [4][64]
	distSpec   = distSlot + 4*64               // by distance; 115 used
	distAlign  = distSpec + 128
	matchLen   = distAlign + 16
	repLen     = matchLen + lenSize
	literals   = repLen + lenSize // [1<<(lc+lp)][0x300]
	probsUsed  = literals + 0x300<<4

	// of a length coder
	lenChoice  = 0
	lenChoice2 = 1
	lenLow     = 2
	lenMid     = lenLow + posStates*8
	lenHigh    = lenMid + posStates*8
	lenSize    = lenHigh + 256

	probsSize = 1 << 14
	probMask  = probsSize - 1
	probInit  = 1 << 10
	inMask    = 1<<17 - 1
	top       = 1 << 24
	minMatch  = 2
)

var _ [probsSize - probsUsed]struct{} // it fits

type (
	probTable = [probsSize]uint16
	inBuffer  = [1 << 17]byte
)

// coder is the state of the model between chunks.
type coder struct {
	probs          probTable
	state          uint32
	rep            [4]uint32
	lc, lp, pb     uint32
	lpMask, pbMask uint32
}

// setProperties takes lc, lp and pb from their byte; LZMA2 allows lc+lp <= 4.
func (c *coder) setProperties(b byte) bool {
	if b >= 9*5*5 {
		return false
	}
	c.lc, c.lp, c.pb = uint32(b%9), uint32(b/9%5), uint32(b/45)
	c.lpMask, c.pbMask = 1<<c.lp-1, 1<<c.pb-1
	return c.lc+c.lp <= 4
}

func (c *coder) reset() {
	for i := range c.probs {
		c.probs[i] = probInit
	}
	c.state, c.rep = 0, [4]uint32{}
}

// After a literal, by state.
var afterLiteral = [16]uint32{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// decode decodes one chunk of n bytes of input into out[at:], which it fills
// exactly. A state of the range coder is (rng, code, pos): it is passed by
// value, so that it stays in registers.
func (c *coder) decode(out []byte, at int, in *inBuffer, n int, dict int) error {
	if in[0] != 0 {
		return errData
	}
	rng, code, pos := uint32(1<<32-1), uint32(in[1])<<24|uint32(in[2])<<16|uint32(in[3])<<8|uint32(in[4]), 5
	probs := &c.probs
	state, rep0, rep1, rep2, rep3 := c.state, c.rep[0], c.rep[1], c.rep[2], c.rep[3]
	lc, lpMask, pbMask := c.lc&15, c.lpMask, c.pbMask
	var bit, length uint32
	for at < len(out) {
		if pos > n {
			return errData
		}
		posState := uint32(at) & pbMask
		// The commonest bit, written out.
		i := (isMatch + state*posStates + posState) & probMask
		if rng < top {
			rng, code, pos = rng<<8, code<<8|uint32(in[pos&inMask]), pos+1
		}
		p := uint32(probs[i])
		if bound := rng >> 11 * p; code < bound {
			rng, probs[i] = bound, uint16(p+(2048-p)>>5)
			prev := uint32(0)
			if at > 0 {
				prev = uint32(out[at-1])
			}
			base := literals + 0x300*(prev>>(8-lc)+uint32(at)&lpMask<<lc)
			if state < 7 {
				bit, rng, code, pos = literal(probs, in, base, rng, code, pos)
			} else {
				if int64(rep0) >= int64(at) {
					return errData
				}
				bit, rng, code, pos = matchedLiteral(probs, in, base, uint32(out[at-1-int(rep0)]), rng, code, pos)
			}
			out[at] = byte(bit)
			at++
			state = afterLiteral[state&15]
			continue
		} else {
			rng, code, probs[i] = rng-bound, code-bound, uint16(p-p>>5)
		}
		bit, rng, code, pos = one(probs, in, isRep+state, rng, code, pos)
		if bit == 0 {
			rep3, rep2, rep1 = rep2, rep1, rep0
			length, rng, code, pos = lengthOf(probs, in, matchLen, posState, rng, code, pos)
			rep0, rng, code, pos = distance(probs, in, length, rng, code, pos)
			state = after(state, 7)
		} else {
			bit, rng, code, pos = one(probs, in, isRepG0+state, rng, code, pos)
			if bit == 0 {
				bit, rng, code, pos = one(probs, in, isRep0Long+state*posStates+posState, rng, code, pos)
				if bit == 0 {
					if int64(rep0) >= int64(at) {
						return errData
					}
					out[at] = out[at-1-int(rep0)]
					at++
					state = after(state, 9)
					continue
				}
			} else {
				bit, rng, code, pos = one(probs, in, isRepG1+state, rng, code, pos)
				if bit == 0 {
					rep0, rep1 = rep1, rep0
				} else {
					bit, rng, code, pos = one(probs, in, isRepG2+state, rng, code, pos)
					if bit == 0 {
						rep0, rep1, rep2 = rep2, rep0, rep1
					} else {
						rep0, rep1, rep2, rep3 = rep3, rep0, rep1, rep2
					}
				}
			}
			length, rng, code, pos = lengthOf(probs, in, repLen, posState, rng, code, pos)
			state = after(state, 8)
		}
		back, size := int64(rep0)+1, int(length)+minMatch
		if back > int64(at) || back > int64(dict) || size > len(out)-at {
			return errData
		}
		repeat(out, at, int(back), size)
		at += size
	}
	c.state, c.rep = state, [4]uint32{rep0, rep1, rep2, rep3}
	if rng < top {
		code, pos = code<<8|uint32(in[pos&inMask]), pos+1
	}
	if code != 0 || pos != n {
		return errData
	}
	return nil
}

// after is the state that follows a match (7), a repeated one (8) or a single
// repeated byte (9).
func after(state, kind uint32) uint32 {
	if state < 7 {
		return kind
	}
	if kind == 7 {
		return 10
	}
	return 11
}

// repeat copies size bytes from back bytes before at. The source may run into
// what is being written.
func repeat(out []byte, at, back, size int) {
	if back >= size {
		copy(out[at:at+size], out[at-back:])
		return
	}
	dst, src := out[at:at+size], out[at-back:]
	if back == 1 {
		b := src[0]
		for i := range dst {
			dst[i] = b
		}
		return
	}
	for n := copy(dst, src[:back]); n < size; {
		n += copy(dst[n:], dst[:n])
	}
}
