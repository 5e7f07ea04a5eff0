// Package gunzip decompresses gzip files (RFC 1952) as the readers of packages
// want it: from one end to the other, several members as one, as fast as the
// machine allows. A table entry decides about a whole code, input is taken in
// words, and output is made where it is handed out from. It does not write
// gzip files, and tells nothing of what their headers say.
package gunzip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var (
	// ErrHeader is wrapped when a stream does not begin as gzip does.
	ErrHeader = errors.New("not a gzip stream")
	// ErrCorrupt is wrapped when it cannot be decoded.
	ErrCorrupt = errors.New("the gzip stream is damaged")
	// ErrChecksum is wrapped when it decodes to something else than was packed.
	ErrChecksum = errors.New("the gzip stream has another checksum than its content")
)

const (
	inputSize = 128 << 10
	slack     = 32 // zeros behind the input, so that a word can be read anywhere
	history   = 32 << 10
	windowLen = 256 << 10
	maxCopy   = 258
	near      = 24 // bytes of input that one turn of the decoder may use, and more
)

// Reader decompresses. The zero value wants a Reset.
type Reader struct {
	src io.Reader
	in  []byte // input, up to end; zeros behind
	pos int    // of the next byte to go into bits; may pass end once src is empty
	end int
	eof bool

	bits uint64
	n    uint // how many bits are in it

	win     []byte
	w, r    int // made so far, and handed out
	base    int // where the member's output begins
	step    func(*Reader) error
	err     error
	last    bool // the block is the member's last
	raw     int  // bytes left of a stored block
	crc     uint32
	head    uint32 // of the bytes of a header
	size    uint32
	summed  int // up to here
	members int
	lit     [litSize]uint32
	dist    [distSize]uint32
	lengths [maxLit + maxDist]uint8
	sub     [1 << litBits]uint8
}

// Reset begins with another stream; buffers are kept.
func (r *Reader) Reset(src io.Reader) {
	in, win := r.in, r.win
	if in == nil {
		in, win = make([]byte, inputSize+slack), make([]byte, windowLen)
	}
	r.src, r.in, r.win = src, in, win
	r.pos, r.end, r.eof, r.bits, r.n = 0, 0, false, 0, 0
	r.w, r.r, r.base, r.summed, r.members = 0, 0, 0, 0, 0
	r.err, r.step = nil, (*Reader).header
}

// Read implements io.Reader. The error at the end is io.EOF only if every
// member was whole and had its own checksum.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.r == r.w {
		if r.err != nil {
			return 0, r.err
		}
		if r.w > windowLen/2 {
			r.slide()
		}
		for r.err == nil && r.w < windowLen-maxCopy-8 {
			r.err = r.step(r)
			if r.err == nil && r.w-r.r >= windowLen/2 {
				break
			}
		}
		r.sum()
	}
	n := copy(p, r.win[r.r:r.w])
	r.r += n
	return n, nil
}

// slide moves what may still be copied from to the front.
func (r *Reader) slide() {
	from := r.w - history
	copy(r.win, r.win[from:r.w])
	r.base, r.summed = max(r.base-from, 0), history
	r.w, r.r = history, history
}

// sum takes what was made into the member's checksum.
func (r *Reader) sum() {
	made := r.win[r.summed:r.w]
	r.crc = crc32.Update(r.crc, crc32.IEEETable, made)
	r.size += uint32(len(made))
	r.summed = r.w
}

// more reads input until there is enough for one turn, or no more.
func (r *Reader) more() error {
	if r.pos+near <= r.end || r.eof {
		return nil
	}
	kept := max(r.pos-8, 0) // what is in bits may be put back
	r.end = copy(r.in, r.in[kept:r.end])
	r.pos -= kept
	for r.pos+near > r.end && !r.eof {
		n, err := r.src.Read(r.in[r.end:inputSize])
		r.end += n
		if err == io.EOF {
			r.eof = true
		} else if err != nil {
			return err
		}
	}
	clear(r.in[r.end : r.end+slack])
	return nil
}

// spent tells whether more was taken than there was.
func (r *Reader) spent() bool { return r.pos-int(r.n>>3) > r.end }

// need makes at least 32 bits ready.
func (r *Reader) need() error {
	if err := r.more(); err != nil {
		return err
	}
	if r.spent() {
		return io.ErrUnexpectedEOF
	}
	if r.n < 32 {
		r.bits |= uint64(binary.LittleEndian.Uint32(r.in[r.pos:])) << r.n
		r.pos += 4
		r.n += 32
	}
	return nil
}

// take gives up to 25 bits.
func (r *Reader) take(n uint) (uint32, error) {
	if err := r.need(); err != nil {
		return 0, err
	}
	v := uint32(r.bits & (1<<n - 1))
	r.bits >>= n
	r.n -= n
	if r.spent() {
		return 0, io.ErrUnexpectedEOF
	}
	return v, nil
}

// align drops the bits up to the next byte, and puts whole bytes back.
func (r *Reader) align() {
	r.pos -= int(r.n >> 3)
	r.bits, r.n = 0, 0
}

// octet takes one byte of a header.
func (r *Reader) octet() (byte, error) {
	if err := r.more(); err != nil {
		return 0, err
	}
	if r.pos >= r.end {
		return 0, io.ErrUnexpectedEOF
	}
	b := r.in[r.pos]
	r.pos++
	r.head = crc32.IEEETable[byte(r.head)^b] ^ r.head>>8
	return b, nil
}

// header reads what stands before a member's blocks (RFC 1952, 2.3).
func (r *Reader) header() error {
	if err := r.more(); err != nil {
		return err
	}
	if r.pos >= r.end && r.members > 0 {
		return io.EOF
	}
	var head [10]byte
	r.head = ^uint32(0)
	for i := range head {
		b, err := r.octet()
		if err != nil {
			return err
		}
		if head[i] = b; i == 2 && (head[0] != 0x1f || head[1] != 0x8b || b != 8) {
			return fmt.Errorf("%w: it begins with %x", ErrHeader, head[:3])
		}
	}
	if err := r.optional(head[3]); err != nil {
		return err
	}
	r.crc, r.size, r.base, r.summed, r.last = 0, 0, r.w, r.w, false
	r.members++
	r.step = (*Reader).block
	return nil
}

// optional passes over the parts of a header that its flags announce.
func (r *Reader) optional(flags byte) error {
	skip := func(n int) error {
		for range n {
			if _, err := r.octet(); err != nil {
				return err
			}
		}
		return nil
	}
	text := func() error {
		for {
			if b, err := r.octet(); err != nil || b == 0 {
				return err
			}
		}
	}
	if flags&4 != 0 {
		low, err := r.octet()
		if err != nil {
			return err
		}
		high, err := r.octet()
		if err != nil {
			return err
		}
		if err := skip(int(low) | int(high)<<8); err != nil {
			return err
		}
	}
	for _, flag := range []byte{8, 16} {
		if flags&flag != 0 {
			if err := text(); err != nil {
				return err
			}
		}
	}
	if flags&2 == 0 {
		return nil
	}
	want := uint16(^r.head)
	low, err := r.octet()
	if err != nil {
		return err
	}
	high, err := r.octet()
	if err == nil && uint16(low)|uint16(high)<<8 != want {
		err = fmt.Errorf("%w: its header has another checksum", ErrHeader)
	}
	return err
}

// trailer compares the member with its checksum and length.
func (r *Reader) trailer() error {
	r.sum()
	r.align()
	var tail [8]byte
	for i := range tail {
		b, err := r.octet()
		if err != nil {
			return err
		}
		tail[i] = b
	}
	if binary.LittleEndian.Uint32(tail[:]) != r.crc || binary.LittleEndian.Uint32(tail[4:]) != r.size {
		return ErrChecksum
	}
	r.step = (*Reader).header
	return nil
}
