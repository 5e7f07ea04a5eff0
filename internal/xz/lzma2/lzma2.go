// Package lzma2 decodes LZMA2 data, the form in which .xz blocks keep theirs.
//
// It exists because decompressing packages is most of the processor time of a
// build, and this decoder needs about half of that of the ones that are
// published for Go: the window is one flat slice, a chunk's input lies in
// memory as a whole, and the range coder's registers stay in registers.
//
// It knows nothing of blocks, check sums and filters; that is package xz. The
// format has no document of its own but the LZMA specification (lzma-specification.txt
// of the LZMA SDK) and the description of the chunks in xz's source; a chunk is
//
//	0x00                        end
//	0x01, 0x02  size-1 (16)     stored bytes, with and without reset of the dictionary
//	0x80..0xff  unpacked-1 (5+16) packed-1 (16) [properties]
//	            bits 5-6: 0 nothing, 1 state, 2 state and properties, 3 all is reset
package lzma2

import (
	"errors"
	"fmt"
	"io"
)

// DictSize decodes the dictionary size of the filter properties (.xz file
// format 1.1.0, section 5.3.1), in bytes.
func DictSize(properties byte) (int64, error) {
	switch {
	case properties > 40:
		return 0, fmt.Errorf("%w: dictionary size %d", ErrCorrupt, properties)
	case properties == 40:
		return 1<<32 - 1, nil
	}
	return int64(2|properties&1) << (properties/2 + 11), nil
}

var (
	// ErrCorrupt is wrapped when the data cannot have been made by an encoder.
	ErrCorrupt = errors.New("lzma2: data are damaged")

	errChunk = fmt.Errorf("%w: bad chunk header", ErrCorrupt)
	errData  = fmt.Errorf("%w: impossible symbol", ErrCorrupt)
)

const (
	chunkIn  = 1 << 16 // packed bytes of a chunk at most
	chunkOut = 1 << 21 // unpacked bytes of a chunk at most
	slack    = 64      // a symbol reads fewer bytes than this
)

// Decoder decodes one LZMA2 sequence after another. The zero value is ready
// for Reset. It keeps its window, so it is worth reusing.
type Decoder struct {
	src    io.Reader
	dict   int
	window []byte
	at     int // where the next byte goes
	read   int // what Next gave out

	needDict, needProps bool
	coder
	header [6]byte
	input  [1 << 17]byte // chunkIn and slack, in a power of two
}

// Reset begins a sequence from src with a dictionary of dict bytes. size is
// how many bytes come out of it, or negative when it is not known: it only
// spares memory.
func (d *Decoder) Reset(src io.Reader, dict, size int64) {
	d.src, d.dict = src, int(dict)
	d.at, d.read = 0, 0
	d.needDict, d.needProps = true, true
	// With twice the dictionary, the window moves once per dictionary.
	want := 2*dict + chunkOut
	if size >= 0 {
		want = min(want, size)
	}
	if int64(cap(d.window)) < want {
		d.window = make([]byte, want)
	}
	d.window = d.window[:cap(d.window)]
}

// Next decodes a chunk and returns its bytes, which stay valid until the next
// call; io.EOF after the last one. An error of the source is returned as it
// is, but an end before the sequence's own is io.ErrUnexpectedEOF.
func (d *Decoder) Next() ([]byte, error) {
	if err := d.fill(d.header[:1]); err != nil {
		return nil, err
	}
	begin := d.at
	var err error
	switch control := d.header[0]; {
	case control == 0:
		return nil, io.EOF
	case control >= 0x80:
		begin, err = d.packed(control)
	case control <= 2:
		begin, err = d.stored(control == 1)
	default:
		err = errChunk
	}
	if err != nil {
		return nil, err
	}
	return d.window[begin:d.at], nil
}

func (d *Decoder) fill(b []byte) error {
	_, err := io.ReadFull(d.src, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// stored copies a chunk that did not compress.
func (d *Decoder) stored(resetDict bool) (begin int, err error) {
	if err := d.fill(d.header[1:3]); err != nil {
		return 0, err
	}
	if resetDict {
		d.at, d.needDict = 0, false
	} else if d.needDict {
		return 0, errChunk
	}
	size := (int(d.header[1])<<8 | int(d.header[2])) + 1
	if err := d.room(size); err != nil {
		return 0, err
	}
	begin = d.at
	d.at += size
	return begin, d.fill(d.window[begin:d.at])
}

// packed decodes a chunk of LZMA data.
func (d *Decoder) packed(control byte) (begin int, err error) {
	h := d.header[1:5]
	if err := d.fill(h); err != nil {
		return 0, err
	}
	out := (int(control&0x1f)<<16 | int(h[0])<<8 | int(h[1])) + 1
	in := (int(h[2])<<8 | int(h[3])) + 1
	if err := d.reset(control >> 5 & 3); err != nil {
		return 0, err
	}
	if in < 5 {
		return 0, errChunk
	}
	if err := d.fill(d.input[:in]); err != nil {
		return 0, err
	}
	clear(d.input[in : in+slack])
	if err := d.room(out); err != nil {
		return 0, err
	}
	begin = d.at
	d.at += out
	return begin, d.coder.decode(d.window[:d.at], begin, &d.input, in, d.dict)
}

// reset obeys the reset bits of a chunk.
func (d *Decoder) reset(bits byte) error {
	if bits == 3 {
		d.at, d.needDict = 0, false
	}
	if bits >= 2 {
		if err := d.fill(d.header[5:6]); err != nil {
			return err
		}
		if !d.setProperties(d.header[5]) {
			return errChunk
		}
		d.needProps = false
	}
	if d.needDict || d.needProps {
		return errChunk
	}
	if bits >= 1 {
		d.coder.reset()
	}
	return nil
}

// room makes place for n bytes at d.at, keeping the dictionary before it. The
// window moves by a multiple of 16, because positions count modulo 16.
func (d *Decoder) room(n int) error {
	if d.at+n <= len(d.window) {
		return nil
	}
	if drop := (d.at - d.dict) &^ 15; drop > 0 {
		copy(d.window, d.window[drop:d.at])
		d.at -= drop
	}
	if d.at+n > len(d.window) { // the size that Reset was told is too small
		grown := make([]byte, max(d.at+n, min(2*len(d.window), 2*d.dict+chunkOut)))
		copy(grown, d.window[:d.at])
		d.window = grown
	}
	return nil
}
