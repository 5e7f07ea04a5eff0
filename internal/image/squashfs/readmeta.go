package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

var errTooDense = errors.New("it describes far more than an image of its size can be expected to hold")

// source is an image that is read.
type source struct {
	r      io.ReaderAt
	size   int64
	sb     super
	decode decoder

	mu     sync.Mutex
	recent map[int64]*metaBlock // a few metadata blocks by their offset
	budget int64                // bytes that the description of the tree may still take
}

// metaBlock is a decompressed metadata block.
type metaBlock struct {
	data []byte
	next int64 // offset of the next
}

// spend notes that n bytes are kept in memory.
func (s *source) spend(n int) error {
	if s.budget -= int64(n); s.budget < 0 {
		return errTooDense
	}
	return nil
}

// bytes reads a part of the image.
func (s *source) bytes(at int64, n int) ([]byte, error) {
	if at < 0 || at > s.size || int64(n) > s.size-at {
		return nil, fmt.Errorf("offset %#x, length %d: beyond the end of the image at %#x", at, n, s.size)
	}
	b := make([]byte, n)
	_, err := s.r.ReadAt(b, at)
	if err == io.EOF {
		err = nil // all of it was there
	}
	return b, err
}

// meta gives the metadata block at an offset. The data is not to be changed.
func (s *source) meta(at int64) (*metaBlock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.recent[at]; ok {
		return b, nil
	}
	head, err := s.bytes(at, 2)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint16(head)
	packed := n&metaUncompressed == 0
	n &^= metaUncompressed
	if n == 0 || n > metaSize {
		return nil, fmt.Errorf("metadata block at %#x has length %d", at, n)
	}
	b := &metaBlock{next: at + 2 + int64(n)}
	if b.data, err = s.bytes(at+2, int(n)); err != nil {
		return nil, err
	}
	if packed {
		if b.data, err = s.decode(b.data, metaSize); err != nil {
			return nil, fmt.Errorf("metadata block at %#x: %w", at, err)
		}
	}
	if len(s.recent) >= 64 {
		clear(s.recent)
	}
	s.recent[at] = b
	return b, nil
}

// cursor reads metadata in order. After an error it gives zeros.
type cursor struct {
	s   *source
	at  int64 // of the block that is read
	off int   // in it
	err error // the first
	tmp [8]byte
}

// cursor gives a cursor at a reference relative to a table.
func (s *source) cursor(table, ref uint64) *cursor {
	return &cursor{s: s, at: int64(table + ref>>16), off: int(ref & 0xffff)}
}

// read fills b.
func (c *cursor) read(b []byte) {
	for len(b) > 0 && c.err == nil {
		m, err := c.s.meta(c.at)
		switch {
		case err != nil:
			c.err = err
		case c.off > len(m.data):
			c.err = fmt.Errorf("offset %d in the metadata block at %#x, which has %d bytes", c.off, c.at, len(m.data))
		case c.off == len(m.data):
			c.at, c.off = m.next, 0
		default:
			n := copy(b, m.data[c.off:])
			b, c.off = b[n:], c.off+n
		}
	}
	if c.err != nil {
		clear(b)
	}
}

func (c *cursor) u16() uint16 { c.read(c.tmp[:2]); return binary.LittleEndian.Uint16(c.tmp[:]) }
func (c *cursor) u32() uint32 { c.read(c.tmp[:4]); return binary.LittleEndian.Uint32(c.tmp[:]) }
func (c *cursor) u64() uint64 { c.read(c.tmp[:8]); return binary.LittleEndian.Uint64(c.tmp[:]) }

// str reads n bytes, which are kept.
func (c *cursor) str(n int) string {
	if c.err == nil {
		c.err = c.s.spend(n)
	}
	if c.err != nil {
		return ""
	}
	b := make([]byte, n)
	c.read(b)
	return string(b)
}

// entry gives a cursor at entry i of a table of entries of some size, to whose
// blocks an index at an offset leads.
func (s *source) entry(index uint64, i uint32, size int) *cursor {
	pos := int64(i) * int64(size)
	at := int64(index) + pos/metaSize*8
	b, err := s.bytes(at, 8)
	if err != nil {
		return &cursor{s: s, err: err}
	}
	return &cursor{s: s, at: int64(binary.LittleEndian.Uint64(b)), off: int(pos % metaSize)}
}
