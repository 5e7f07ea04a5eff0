package erofs

import (
	"encoding/binary"
	"math/bits"
)

// The LZ4 block format (lz4_Block_format.md of the LZ4 project): sequences of
// literals and a match, the last one literals only.
const (
	lz4MinMatch = 4
	lz4LastLits = 5  // the last bytes of a block are literals
	lz4MatchEnd = 12 // no match begins closer to the end
	lz4Farthest = 1<<16 - 1
	lz4HashBits = 14
)

// lz4Table remembers where four bytes were seen last.
type lz4Table [1 << lz4HashBits]int32

// compressLZ4 compresses src into dst. It returns the length,
// or 0 when dst is too small. The bytes depend on src alone. The first one is
// never 0, because a block begins with a literal.
func compressLZ4(dst, src []byte, table *lz4Table) int {
	clear(table[:])
	w := lz4Writer{dst: dst}
	anchor, pos := 0, 1
	for limit := len(src) - lz4MatchEnd; pos <= limit; {
		word := binary.LittleEndian.Uint32(src[pos:])
		h := word * 2654435761 >> (32 - lz4HashBits)
		at := int(table[h])
		table[h] = int32(pos)
		if pos-at > lz4Farthest || binary.LittleEndian.Uint32(src[at:]) != word {
			pos += 1 + (pos-anchor)>>6 // faster where nothing is found
			continue
		}
		for pos > anchor && at > 0 && src[pos-1] == src[at-1] && pos > 1 {
			pos, at = pos-1, at-1
		}
		n := lz4MinMatch + matching(src[at+lz4MinMatch:], src[pos+lz4MinMatch:len(src)-lz4LastLits])
		if !w.sequence(src[anchor:pos], pos-at, n) {
			return 0
		}
		pos += n
		anchor = pos
		if pos <= limit {
			table[binary.LittleEndian.Uint32(src[pos-2:])*2654435761>>(32-lz4HashBits)] = int32(pos - 2)
		}
	}
	if !w.literals(src[anchor:], 0) {
		return 0
	}
	return w.n
}

// matching is how many bytes of b equal those of a, which is the longer.
func matching(a, b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

type lz4Writer struct {
	dst []byte
	n   int
}

// literals writes a token and what belongs to its literals. low is the match
// part of the token.
func (w *lz4Writer) literals(lits []byte, low byte) bool {
	if w.n+1+len(lits)/255+1+len(lits) > len(w.dst) {
		return false
	}
	at := w.n
	w.n++
	w.dst[at] = low | byte(min(len(lits), 15))<<4
	w.length(len(lits) - 15)
	w.n += copy(w.dst[w.n:], lits)
	return true
}

// length writes what of a length is beyond the 15 of its token; the caller
// made sure of the space.
func (w *lz4Writer) length(n int) {
	for ; n >= 0; n -= 255 {
		w.dst[w.n] = byte(min(n, 255))
		w.n++
	}
}

func (w *lz4Writer) sequence(lits []byte, offset, match int) bool {
	match -= lz4MinMatch
	if !w.literals(lits, byte(min(match, 15))) || w.n+2+match/255+1 > len(w.dst) {
		return false
	}
	binary.LittleEndian.PutUint16(w.dst[w.n:], uint16(offset))
	w.n += 2
	w.length(match - 15)
	return true
}

// zerosLZ4 is a block of n zeros.
func zerosLZ4(n int) []byte {
	w := lz4Writer{dst: make([]byte, n/255+32)}
	w.sequence([]byte{0}, 1, n-1-lz4LastLits)
	w.literals(make([]byte, lz4LastLits), 0)
	return w.dst[:w.n]
}
