package gunzip

import (
	"fmt"
	"math/bits"
)

// A table entry decides about a code by its next bits. The low byte is how many
// of them it has; 0 is no code at all.
//
//	literal:  bit 31, the byte from bit 16 on
//	length:   the least length from bit 16 on, further bits from bit 8 on
//	distance: the least distance from bit 16 on, further bits from bit 8 on
//	end:      bits 15 and 14
//	longer:   bit 15; its table begins at the number from bit 16 on and has as
//	          many bits as stand from bit 8 on
const (
	isLiteral = 1 << 31
	isOther   = 1 << 15
	isEnd     = 1 << 14
)

const (
	litBits  = 11
	distBits = 8
	litSize  = 2<<litBits + 512
	distSize = 1<<distBits + 1<<9
	maxLit   = 288
	maxDist  = 32
)

var lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
var lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}

func litEntry(symbol int) uint32 {
	switch {
	case symbol < 256:
		return isLiteral | uint32(symbol)<<16
	case symbol == 256:
		return isOther | isEnd
	case symbol < 257+len(lengthBase):
		return uint32(lengthBase[symbol-257])<<16 | uint32(lengthExtra[symbol-257])<<8
	}
	return badSymbol
}

func distEntry(symbol int) uint32 {
	if symbol >= 30 {
		return badSymbol
	}
	if symbol < 2 {
		return uint32(symbol+1) << 16
	}
	extra := uint32(symbol/2 - 1)
	return (2|uint32(symbol&1))<<extra<<16 + 1<<16 | extra<<8
}

func plainEntry(symbol int) uint32 { return uint32(symbol) << 16 }

// badSymbol has a code, but must not come.
const badSymbol = 0

// build makes the table of codes with these lengths (RFC 1951, 3.2.2). Codes
// must use up all bits; but there may be none, or one of one bit.
func build(table []uint32, first uint, lengths []uint8, sub []uint8, entry func(int) uint32) error {
	var count, next [17]int
	used := 0
	for _, n := range lengths {
		if n > 0 {
			count[n]++
			used++
		}
	}
	left := 1
	for n := 1; n <= 15; n++ {
		left = left<<1 - count[n]
		if left < 0 {
			return fmt.Errorf("%w: more codes than fit", ErrCorrupt)
		}
		next[n+1] = (next[n] + count[n]) << 1
	}
	clear(table)
	if left > 0 && (used > 1 || used == 1 && count[1] != 1) {
		return fmt.Errorf("%w: codes that mean nothing", ErrCorrupt)
	}
	reversed := func(code, n int) int { return int(bits.Reverse16(uint16(code)) >> (16 - n)) }
	// How many bits the tables of longer codes need, by their first bits.
	longest := 0
	for n := 15; n > int(first) && longest == 0; n-- {
		if count[n] > 0 {
			longest = n
		}
	}
	mask := 1<<first - 1
	codes := next
	if longest > 0 {
		sub = sub[:1<<first]
		clear(sub)
		for _, n := range lengths {
			if n == 0 {
				continue
			}
			code := codes[n]
			codes[n]++
			if uint(n) > first {
				p := &sub[reversed(code, int(n))&mask]
				*p = max(*p, n-uint8(first))
			}
		}
		codes = next
	}
	free := 1 << first
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		code := reversed(codes[n], int(n))
		codes[n]++
		e := entry(symbol)
		if e == badSymbol && symbol > 0 {
			e = 0
		} else if uint(n) <= first {
			e |= uint32(n)
		} else {
			e |= uint32(n) - uint32(first)
		}
		if uint(n) <= first {
			for i := code; i < 1<<first; i += 1 << n {
				table[i] = e
			}
			continue
		}
		prefix := code & mask
		width := uint(sub[prefix])
		if table[prefix] == 0 {
			if free+1<<width > len(table) {
				return fmt.Errorf("%w: longer codes than fit", ErrCorrupt)
			}
			table[prefix] = isOther | uint32(free)<<16 | uint32(width)<<8 | uint32(first)
			free += 1 << width
		}
		start := int(table[prefix] >> 16)
		for i := code >> first; i < 1<<width; i += 1 << (uint(n) - first) {
			table[start+i] = e
		}
	}
	return nil
}
