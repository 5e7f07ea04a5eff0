package gunzip

import (
	"encoding/binary"
	"fmt"
	"io"
)

// block reads the beginning of a block (RFC 1951, 3.2.3).
func (r *Reader) block() error {
	if r.last {
		return r.trailer()
	}
	head, err := r.take(3)
	if err != nil {
		return err
	}
	r.last = head&1 != 0
	switch head >> 1 {
	case 0:
		return r.beginStored()
	case 1:
		r.step = (*Reader).codes
		return r.fixed()
	case 2:
		r.step = (*Reader).codes
		return r.dynamic()
	}
	return fmt.Errorf("%w: a block of an unknown kind", ErrCorrupt)
}

func (r *Reader) beginStored() error {
	r.align()
	var head [4]byte
	for i := range head {
		b, err := r.octet()
		if err != nil {
			return err
		}
		head[i] = b
	}
	n := binary.LittleEndian.Uint16(head[:])
	if n != ^binary.LittleEndian.Uint16(head[2:]) {
		return fmt.Errorf("%w: a stored block of two lengths", ErrCorrupt)
	}
	r.raw, r.step = int(n), (*Reader).stored
	return nil
}

// stored copies a part of a stored block.
func (r *Reader) stored() error {
	if r.raw == 0 {
		r.step = (*Reader).block
		return nil
	}
	if err := r.more(); err != nil {
		return err
	}
	if r.pos >= r.end {
		return io.ErrUnexpectedEOF
	}
	n := copy(r.win[r.w:], r.in[r.pos:min(r.end, r.pos+r.raw)])
	r.pos += n
	r.w += n
	r.raw -= n
	return nil
}

// fixed prepares the codes that need no table in the stream (3.2.6).
func (r *Reader) fixed() error {
	for i := range maxLit {
		switch {
		case i < 144:
			r.lengths[i] = 8
		case i < 256:
			r.lengths[i] = 9
		case i < 280:
			r.lengths[i] = 7
		default:
			r.lengths[i] = 8
		}
	}
	for i := range maxDist {
		r.lengths[maxLit+i] = 5
	}
	return r.tables(r.lengths[:maxLit], r.lengths[maxLit:])
}

func (r *Reader) tables(lit, dist []uint8) error {
	if err := build(r.lit[:], litBits, lit, r.sub[:], litEntry); err != nil {
		return err
	}
	return build(r.dist[:], distBits, dist, r.sub[:], distEntry)
}

// lengthOrder is how the lengths of the codes for lengths come.
var lengthOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block (3.2.7).
func (r *Reader) dynamic() error {
	head, err := r.take(14)
	if err != nil {
		return err
	}
	lits, dists, pres := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if lits > 286 || dists > 30 {
		return fmt.Errorf("%w: too many codes", ErrCorrupt)
	}
	var pre [19]uint8
	for _, at := range lengthOrder[:pres] {
		n, err := r.take(3)
		if err != nil {
			return err
		}
		pre[at] = uint8(n)
	}
	var table [1 << 7]uint32
	if err := build(table[:], 7, pre[:], nil, plainEntry); err != nil {
		return err
	}
	all := r.lengths[:lits+dists]
	for i := 0; i < len(all); {
		if err := r.need(); err != nil {
			return err
		}
		e := table[r.bits&127]
		if e == 0 {
			return fmt.Errorf("%w: no such code of a length", ErrCorrupt)
		}
		r.bits >>= e & 63
		r.n -= uint(e & 63)
		symbol := e >> 16
		if symbol < 16 {
			all[i] = uint8(symbol)
			i++
			continue
		}
		n, value := 0, uint8(0)
		more := [3]struct{ bits, least uint }{{2, 3}, {3, 3}, {7, 11}}[symbol-16]
		extra, err := r.take(more.bits)
		if err != nil {
			return err
		}
		if n = int(extra) + int(more.least); symbol == 16 {
			if i == 0 {
				return fmt.Errorf("%w: nothing to repeat", ErrCorrupt)
			}
			value = all[i-1]
		}
		if i+n > len(all) {
			return fmt.Errorf("%w: more lengths than codes", ErrCorrupt)
		}
		for range n {
			all[i] = value
			i++
		}
	}
	if r.spent() {
		return io.ErrUnexpectedEOF
	}
	if all[256] == 0 {
		return fmt.Errorf("%w: a block without an end", ErrCorrupt)
	}
	return r.tables(all[:lits], all[lits:])
}

// codes decodes a part of a block: until it ends, the window is full or input
// has to be read. After loading, 56 bits are ready: enough for three literals
// of 15, or for a length of 15 and 5 and a distance of 15 and 13.
func (r *Reader) codes() error {
	if err := r.more(); err != nil {
		return err
	}
	if r.spent() {
		return io.ErrUnexpectedEOF
	}
	const full = windowLen - maxCopy - 8
	in, win, lit, dist := r.in, r.win[:windowLen], &r.lit, &r.dist
	pos, w, bits, n := r.pos, r.w, r.bits, r.n
	stop := r.end - near // one turn begins at or before it
	if r.eof {
		stop = r.end + 8 // what lies behind are zeros, and is found out above
	}
	var err error
	for w < full && pos <= stop {
		bits |= binary.LittleEndian.Uint64(in[pos:]) << n
		pos += int((63 - n) >> 3)
		n |= 56
		e := lit[bits&(1<<litBits-1)]
		if e&isLiteral != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			win[w] = byte(e >> 16)
			w++
			if e = lit[bits&(1<<litBits-1)]; e&isLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				win[w] = byte(e >> 16)
				w++
				if e = lit[bits&(1<<litBits-1)]; e&isLiteral != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					win[w] = byte(e >> 16)
					w++
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(in[pos:]) << n
			pos += int((63 - n) >> 3)
			n |= 56
		}
		if e&isOther != 0 && e&isEnd == 0 {
			bits >>= litBits
			n -= litBits
			e = lit[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))%litSize]
			if e&isLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				win[w] = byte(e >> 16)
				w++
				continue
			}
		}
		if e == 0 {
			err = fmt.Errorf("%w: no such code", ErrCorrupt)
			break
		}
		bits >>= e & 63
		n -= uint(e & 63)
		if e&isEnd != 0 && e&isOther != 0 {
			r.step = (*Reader).block
			break
		}
		extra := uint(e >> 8 & 15)
		length := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= extra

		e = dist[bits&(1<<distBits-1)]
		if e&isOther != 0 {
			bits >>= distBits
			n -= distBits
			e = dist[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))%distSize]
		}
		bits >>= e & 63
		n -= uint(e & 63)
		extra = uint(e >> 8 & 15)
		back := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= extra
		if back == 0 || back > w-r.base {
			err = fmt.Errorf("%w: a copy from before the beginning", ErrCorrupt)
			break
		}
		from := w - back
		if back >= length {
			copy(win[w:w+length], win[from:from+length])
		} else {
			for i := range length {
				win[w+i] = win[from+i]
			}
		}
		w += length
	}
	r.pos, r.w, r.bits, r.n = pos, w, bits, n
	if err == nil && r.spent() {
		err = io.ErrUnexpectedEOF
	}
	return err
}
