package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxEncoded bounds what Decode reads into memory.
const maxEncoded = 1 << 30

// Decode reads a manifest that Encode wrote, up to the end of r. Damage of any
// kind is an error; a manifest that decodes is valid and encodes to the same
// bytes. Memory is bounded by a small multiple of the input.
func Decode(r io.Reader) (*Manifest, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxEncoded+1))
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	m, err := unmarshal(b)
	if err != nil {
		return nil, fmt.Errorf("decoding a manifest of %d bytes: %w", len(b), err)
	}
	return m, nil
}

func unmarshal(b []byte) (*Manifest, error) {
	if len(b) > maxEncoded {
		return nil, fmt.Errorf("longer than %d bytes", maxEncoded)
	}
	if len(b) < len(magic)+1+sha256.Size || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("does not begin with %q", magic)
	}
	if v := b[len(magic)]; v != version {
		return nil, fmt.Errorf("version %d, this slipway reads %d", v, version)
	}
	body := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(body); string(sum[:]) != string(b[len(body):]) {
		return nil, errors.New("checksum does not match")
	}
	c := NewCursor(body[len(magic)+1:])
	m := &Manifest{Entries: decodeEntries(c)}
	if c.err == nil && c.Len() > 0 {
		c.fail("%d bytes too many", c.Len())
	}
	if c.err != nil {
		return nil, c.err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

func decodeEntries(c *Cursor) []Entry {
	n := c.Count(MaxEntries, minEntry)
	es := make([]Entry, 0, n)
	for ; n > 0 && c.err == nil; n-- {
		es = append(es, c.Entry())
	}
	return es
}

// minEntry is the least number of bytes an encoded entry has.
const minEntry = 9

// Cursor reads the encodings of this package from memory. The first error
// sticks: reads after it give zero values, and Err tells it once at the end.
type Cursor struct {
	s   string // the input once, so that strings are parts of it
	off int
	err error
}

// NewCursor reads from a copy of b.
func NewCursor(b []byte) *Cursor { return &Cursor{s: string(b)} }

// Err is the first error, nil while everything was well formed.
func (c *Cursor) Err() error { return c.err }

// Len is the number of bytes not yet read.
func (c *Cursor) Len() int { return len(c.s) - c.off }

func (c *Cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("at offset %d: "+format, append([]any{c.off}, args...)...)
	}
}

// Uvarint reads a number of at most limit, in its shortest form only.
func (c *Cursor) Uvarint(limit uint64) uint64 {
	if c.err != nil {
		return 0
	}
	var v uint64
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		if i >= binary.MaxVarintLen64 || c.off+i >= len(c.s) {
			c.fail("number ends too late or not at all")
			return 0
		}
		x := c.s[c.off+i]
		if i == binary.MaxVarintLen64-1 && x > 1 || i > 0 && x == 0 {
			c.fail("number is not in its shortest form")
			return 0
		}
		v |= uint64(x&0x7f) << shift
		if x < 0x80 {
			if v > limit {
				c.fail("got number %d, want at most %d", v, limit)
				return 0
			}
			c.off += i + 1
			return v
		}
	}
}

// Varint reads a signed number in zigzag form.
func (c *Cursor) Varint() int64 {
	u := c.Uvarint(1<<64 - 1)
	return int64(u>>1) ^ -int64(u&1)
}

// Count reads a number of items that need at least each bytes, so that it can
// size a slice without trusting the input.
func (c *Cursor) Count(limit, each int) int {
	n := c.Uvarint(uint64(limit))
	if n > uint64(c.Len()/each) {
		c.fail("got %d items, the rest holds at most %d", n, c.Len()/each)
		return 0
	}
	return int(n)
}

// Bytes reads n bytes.
func (c *Cursor) Bytes(n int) string {
	if c.err != nil {
		return ""
	}
	if n > c.Len() {
		c.fail("got %d bytes, want %d", c.Len(), n)
		return ""
	}
	s := c.s[c.off : c.off+n]
	c.off += n
	return s
}

// String reads a length of at most limit, and that many bytes.
func (c *Cursor) String(limit int) string { return c.Bytes(int(c.Uvarint(uint64(limit)))) }

// Digest reads 32 bytes.
func (c *Cursor) Digest() (d Digest) {
	copy(d[:], c.Bytes(len(d)))
	return d
}

// Entry reads what AppendEntry wrote. The caller validates it.
func (c *Cursor) Entry() Entry {
	const max32 = 1<<32 - 1
	var e Entry
	e.Path = c.String(MaxPath)
	if t := c.Bytes(1); t != "" {
		e.Type = Type(t[0])
	}
	e.Mode = uint32(c.Uvarint(07777))
	e.UID = uint32(c.Uvarint(max32))
	e.GID = uint32(c.Uvarint(max32))
	e.MTime = c.Varint()
	e.MNsec = uint32(c.Uvarint(1e9 - 1))
	switch e.Type {
	case File:
		e.Size = int64(c.Uvarint(1<<63 - 1))
		e.Digest = c.Digest()
	case Symlink:
		e.Target = c.String(MaxPath)
	case Char, Block:
		e.Major = uint32(c.Uvarint(max32))
		e.Minor = uint32(c.Uvarint(max32))
	}
	e.Xattrs = c.xattrs()
	e.Link = c.String(MaxPath)
	return e
}

func (c *Cursor) xattrs() map[string]string {
	n := c.Count(MaxXattrs, 2)
	if n == 0 {
		return nil
	}
	m, last := make(map[string]string, n), ""
	for ; n > 0 && c.err == nil; n-- {
		k := c.String(255)
		if k <= last {
			c.fail("extended attribute %q is out of order", k)
			return nil
		}
		m[k], last = c.String(MaxXattr), k
	}
	return m
}
