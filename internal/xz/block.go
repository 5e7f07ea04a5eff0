package xz

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"sync"

	"slipway/internal/xz/lzma2"
)

// errOtherFilter says that a block is compressed in a way that only the
// general decoder knows.
var errOtherFilter = errors.New("xz: filters other than LZMA2")

// ErrCorrupt is wrapped when the data are not what was compressed.
var ErrCorrupt = errors.New("xz: data are damaged")

// blockReader decompresses one block and compares its size and check sum.
type blockReader struct {
	z     *lzma2.Decoder
	input io.Reader
	block block
	left  int64 // unpacked bytes to come
	check hash.Hash
	rest  []byte
	err   error
}

var lzmaDecoders = sync.Pool{New: func() any { return new(lzma2.Decoder) }}

// openBlock reads the header of a block.
func openBlock(r io.ReaderAt, b block) (*blockReader, error) {
	dict, length, err := blockHeader(r, b)
	if err != nil {
		return nil, err
	}
	p := &blockReader{block: b, left: b.size, check: newCheck(b.flags)}
	packed := b.unpadded - length - checkSize(b.flags)
	if packed <= 0 || p.check == nil && checkSize(b.flags) != 0 {
		return nil, errOtherFilter
	}
	p.input = io.NewSectionReader(r, b.offset+length, b.padded()-length)
	p.z = lzmaDecoders.Get().(*lzma2.Decoder)
	p.z.Reset(p.input, dict, b.size)
	return p, nil
}

// blockHeader decodes a block's header (section 3.1), which must name LZMA2
// alone, and returns its dictionary's size and its own length.
func blockHeader(r io.ReaderAt, b block) (dict, length int64, err error) {
	var h [1024]byte
	if _, err := r.ReadAt(h[:1], b.offset); err != nil {
		return 0, 0, explain(err)
	}
	n := (int(h[0]) + 1) * 4
	if _, err := r.ReadAt(h[:n], b.offset); err != nil {
		return 0, 0, explain(err)
	}
	if h[0] == 0 || crc32.ChecksumIEEE(h[:n-4]) != binary.LittleEndian.Uint32(h[n-4:n]) {
		return 0, 0, fmt.Errorf("%w: header of a block", ErrCorrupt)
	}
	if h[1]&0x3f != 0 || b.flags[0] != 0 || b.flags[1] > 0xf {
		return 0, 0, errOtherFilter // more than one filter, or flags of the future
	}
	rest := h[2 : n-4]
	for _, f := range []struct {
		bit  byte
		want int64
	}{{0x40, b.unpadded - int64(n) - checkSize(b.flags)}, {0x80, b.size}} {
		if h[1]&f.bit == 0 {
			continue
		}
		v, k := binary.Uvarint(rest)
		if k <= 0 || int64(v) != f.want {
			return 0, 0, fmt.Errorf("%w: sizes in the header of a block", ErrCorrupt)
		}
		rest = rest[k:]
	}
	if !bytes.HasPrefix(rest, []byte{0x21, 1}) || len(rest) < 3 || len(bytes.Trim(rest[3:], "\x00")) > 0 {
		return 0, 0, errOtherFilter
	}
	if dict, err = lzma2.DictSize(rest[2]); err != nil || dict > DictMax {
		return 0, 0, errOtherFilter // which says what is wrong with it
	}
	return dict, int64(n), nil
}

// newCheck is the check sum of a stream's blocks (section 2.1.1.2), nil when
// it is unknown or there is none.
func newCheck(flags [2]byte) hash.Hash {
	switch flags[1] & 0xf {
	case 1:
		return crc32.NewIEEE()
	case 4:
		return crc64.New(crc64Table)
	case 10:
		return sha256.New()
	}
	return nil
}

var crc64Table = crc64.MakeTable(crc64.ECMA)

// checkSize is the length of a check sum in bytes.
func checkSize(flags [2]byte) int64 {
	return [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[flags[1]&0xf]
}

// next returns more bytes of the block; io.EOF says that all were right. They
// are valid until the next call.
func (p *blockReader) next() ([]byte, error) {
	b, err := p.z.Next()
	switch {
	case err == io.EOF:
		return nil, p.finish()
	case err != nil:
		return nil, explainBlock(err)
	}
	if p.left -= int64(len(b)); p.left < 0 {
		return nil, fmt.Errorf("%w: a block is longer than the index says", ErrCorrupt)
	}
	if p.check != nil {
		p.check.Write(b)
	}
	return b, nil
}

// finish compares what stands behind the compressed data.
func (p *blockReader) finish() error {
	tail, err := io.ReadAll(p.input)
	if err != nil {
		return err
	}
	sum := p.sum()
	padding := len(tail) - len(sum)
	if int64(padding) != p.block.padded()-p.block.unpadded || p.left != 0 {
		return fmt.Errorf("%w: length of a block", ErrCorrupt)
	}
	// The padding to four bytes lies between the data and the check sum.
	if !bytes.Equal(tail[:padding], make([]byte, padding)) || !bytes.Equal(tail[padding:], sum) {
		return fmt.Errorf("%w: check sum of a block", ErrCorrupt)
	}
	return io.EOF
}

// sum is the check sum as the file has it: the CRCs are little-endian.
func (p *blockReader) sum() []byte {
	switch c := p.check.(type) {
	case nil:
		return nil
	case hash.Hash64:
		return binary.LittleEndian.AppendUint64(nil, c.Sum64())
	case hash.Hash32:
		return binary.LittleEndian.AppendUint32(nil, c.Sum32())
	default:
		return c.Sum(nil)
	}
}

func explainBlock(err error) error {
	if errors.Is(err, lzma2.ErrCorrupt) {
		return fmt.Errorf("%w (%v)", ErrCorrupt, err)
	}
	return explain(err)
}

// Read implements io.Reader.
func (p *blockReader) Read(b []byte) (int, error) {
	for len(p.rest) == 0 && p.err == nil {
		p.rest, p.err = p.next()
	}
	if len(p.rest) == 0 {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// release gives the decoder back.
func (p *blockReader) release() {
	if p.z != nil {
		p.z.Reset(nil, 0, 0)
		lzmaDecoders.Put(p.z)
		p.z = nil
	}
}
