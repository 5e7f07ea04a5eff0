package xz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Limits on what an index may make us allocate or decode in parallel. A file
// beyond them is read in order instead.
const (
	maxIndex  = 1 << 20  // bytes of one stream's index
	maxBlock  = 64 << 20 // uncompressed bytes of one block held in memory
	headerLen = 12       // stream header, and stream footer (sections 2.1.1, 2.1.2)
)

var headerMagic = [6]byte{0xfd, '7', 'z', 'X', 'Z', 0}

// errNoIndex says that the block list cannot be used, for whatever reason;
// the sequential reader then finds out what is wrong, if anything is.
var errNoIndex = errors.New("xz: no usable index")

// block is one block of a stream and the flags of the stream it lies in.
type block struct {
	offset   int64 // of the block header in the file
	unpadded int64 // header, data and check, without padding (section 4.3)
	size     int64 // uncompressed
	flags    [2]byte
}

// padded is the block's length in the file.
func (b block) padded() int64 { return (b.unpadded + 3) &^ 3 }

// listBlocks reads the indexes of all streams, from the end of the file
// backwards, and returns the blocks in file order.
func listBlocks(r io.ReaderAt, size int64) ([]block, error) {
	var all [][]block
	for end := size; end > 0; {
		if padding, err := isPadding(r, end); err != nil {
			return nil, err
		} else if padding {
			end -= 4
			continue
		}
		blocks, start, err := listStream(r, end)
		if err != nil {
			return nil, err
		}
		all = append(all, blocks)
		end = start
	}
	var list []block
	for i := len(all) - 1; i >= 0; i-- {
		list = append(list, all[i]...)
	}
	return list, nil
}

// isPadding reports whether the four bytes before end are stream padding
// (section 2.2).
func isPadding(r io.ReaderAt, end int64) (bool, error) {
	var word [4]byte
	if end < 4 {
		return false, errNoIndex
	}
	if _, err := r.ReadAt(word[:], end-4); err != nil {
		return false, err
	}
	return word == [4]byte{}, nil
}

// listStream reads the footer and index of the stream that ends at end, and
// returns its blocks and where the stream starts.
func listStream(r io.ReaderAt, end int64) ([]block, int64, error) {
	var footer [headerLen]byte
	if end < 2*headerLen {
		return nil, 0, errNoIndex
	}
	if _, err := r.ReadAt(footer[:], end-headerLen); err != nil {
		return nil, 0, err
	}
	if footer[10] != 'Y' || footer[11] != 'Z' ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer[:4]) {
		return nil, 0, errNoIndex
	}
	length := (int64(binary.LittleEndian.Uint32(footer[4:8])) + 1) * 4
	indexStart := end - headerLen - length
	if length > maxIndex || indexStart < headerLen {
		return nil, 0, errNoIndex
	}
	index := make([]byte, length)
	if _, err := r.ReadAt(index, indexStart); err != nil {
		return nil, 0, err
	}
	blocks, total, err := parseIndex(index, [2]byte(footer[8:10]))
	if err != nil || indexStart-total < headerLen {
		return nil, 0, errNoIndex
	}
	first := indexStart - total
	var header [headerLen]byte
	if _, err := r.ReadAt(header[:], first-headerLen); err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(header[:], streamHeader([2]byte(footer[8:10]))) {
		return nil, 0, errNoIndex
	}
	for i := range blocks {
		blocks[i].offset += first
	}
	return blocks, first - headerLen, nil
}

// parseIndex decodes an index (section 4). Offsets are relative to the first
// block; total is the length of all blocks.
func parseIndex(index []byte, flags [2]byte) (blocks []block, total int64, err error) {
	body := len(index) - 4
	if body < 4 || index[0] != 0 ||
		crc32.ChecksumIEEE(index[:body]) != binary.LittleEndian.Uint32(index[body:]) {
		return nil, 0, errNoIndex
	}
	rest := index[1:body]
	count, n := binary.Uvarint(rest)
	if n <= 0 || count > uint64(len(rest)) {
		return nil, 0, errNoIndex
	}
	rest = rest[n:]
	for range count {
		unpadded, n := binary.Uvarint(rest)
		if n <= 0 || unpadded < 5 || unpadded > 1<<62 {
			return nil, 0, errNoIndex
		}
		size, m := binary.Uvarint(rest[n:])
		if m <= 0 || size > 1<<62 {
			return nil, 0, errNoIndex
		}
		rest = rest[n+m:]
		b := block{offset: total, unpadded: int64(unpadded), size: int64(size), flags: flags}
		blocks = append(blocks, b)
		if total += b.padded(); total < 0 || total > 1<<62 {
			return nil, 0, errNoIndex
		}
	}
	return blocks, total, nil
}

// streamHeader makes the header of a stream with these flags.
func streamHeader(flags [2]byte) []byte {
	h := append([]byte{}, headerMagic[:]...)
	h = append(h, flags[:]...)
	return binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(flags[:]))
}

// streamEnd makes the index and footer of a stream that holds just b, so
// that an ordinary decoder can check one block by itself.
func streamEnd(b block) []byte {
	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(b.unpadded))
	index = binary.AppendUvarint(index, uint64(b.size))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	var tail [6]byte
	binary.LittleEndian.PutUint32(tail[:4], uint32(len(index)/4-1))
	copy(tail[4:], b.flags[:])
	out := binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(tail[:]))
	out = append(out, tail[:]...)
	return append(out, 'Y', 'Z')
}
