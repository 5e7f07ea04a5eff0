package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"slipway/internal/xz/lzma2"
)

// maxDict is the largest dictionary accepted, in bytes; modules have 1 or 2 MiB.
const maxDict = 64 << 20

// newXZReader decompresses a file as the kernel's build writes modules: one
// stream with LZMA2 alone (".xz File Format" 1.1.0). Of the check sums it
// compares those of headers; the kernel checks what it loads by itself.
func newXZReader(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var head [12]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("reading an xz header: %w", err)
	}
	if string(head[:6]) != "\xfd7zXZ\x00" || crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, errors.New("this is no xz file")
	}
	sums := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	z := &xzReader{in: &countReader{r: in}, sum: sums[head[7]&15]}
	return z, nil
}

type countReader struct {
	r *bufio.Reader
	n int
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type xzReader struct {
	in   *countReader
	sum  int // bytes of a block's check sum
	dec  lzma2.Decoder
	open bool // in a block
	rest []byte
	err  error
}

func (z *xzReader) Read(p []byte) (int, error) {
	for len(z.rest) == 0 && z.err == nil {
		z.rest, z.err = z.next()
	}
	if len(z.rest) == 0 {
		return 0, z.err
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

func (z *xzReader) next() ([]byte, error) {
	if !z.open {
		if err := z.block(); err != nil {
			return nil, err
		}
	}
	b, err := z.dec.Next()
	if err != io.EOF {
		return b, err
	}
	z.open = false
	_, err = io.CopyN(io.Discard, z.in, int64(-z.in.n&3+z.sum))
	return nil, err
}

// block reads the header of the next block (section 3.1); io.EOF at the index.
func (z *xzReader) block() error {
	var first [1]byte
	if _, err := io.ReadFull(z.in, first[:]); err != nil {
		return fmt.Errorf("reading an xz block: %w", err)
	}
	if first[0] == 0 {
		return io.EOF
	}
	head := make([]byte, (int(first[0])+1)*4)
	head[0] = first[0]
	if _, err := io.ReadFull(z.in, head[1:]); err != nil {
		return fmt.Errorf("reading an xz block: %w", err)
	}
	end := len(head) - 4
	if crc32.ChecksumIEEE(head[:end]) != binary.LittleEndian.Uint32(head[end:]) {
		return errors.New("the header of an xz block has a wrong check sum")
	}
	rest := head[2:end]
	for bit := byte(0x40); bit != 0; bit <<= 1 { // sizes that may be given
		if head[1]&bit != 0 {
			_, n := binary.Uvarint(rest)
			rest = rest[max(n, 0):]
		}
	}
	if head[1]&0x3f != 0 || len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return errors.New("an xz block has filters other than LZMA2")
	}
	dict, err := lzma2.DictSize(rest[2])
	if err != nil {
		return err
	}
	if dict > maxDict {
		return fmt.Errorf("an xz block wants a dictionary of %d bytes", dict)
	}
	z.in.n = 0
	z.dec.Reset(z.in, dict, -1)
	z.open = true
	return nil
}
