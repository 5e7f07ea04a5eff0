package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz"
)

// xzPiece is how much goes into one block, and how far back matches reach;
// smaller in tests. The encoder takes many times as much memory.
var xzPiece = 4 << 20

// xzWriter writes one xz stream (The .xz File Format, 2) of many blocks: each
// is made as a stream of its own, of which only the block is kept.
type xzWriter struct {
	*pieces
	w       io.Writer
	records []byte // of the index
	count   uint64
}

const (
	xzMagic      = "\xfd7zXZ\x00"
	xzFlags      = "\x00\x01" // the check is CRC-32
	xzEnd        = "YZ"
	xzHeaderSize = 12
	xzFooterSize = 12
)

func newXZ(w io.Writer) (io.WriteCloser, error) {
	head := binary.LittleEndian.AppendUint32([]byte(xzMagic+xzFlags), crc32.ChecksumIEEE([]byte(xzFlags)))
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	x := &xzWriter{w: w}
	x.pieces = newPieces(xzPiece, 0, min(workers(), 4), xzStream, x.addBlocks)
	return x, nil
}

func xzStream(_, piece []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 4 << 20}.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(piece); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

var errXZ = errors.New("the xz library made an unexpected stream")

// addBlocks writes the blocks of a stream and remembers their index records.
func (x *xzWriter) addBlocks(stream []byte) error {
	footer := len(stream) - xzFooterSize
	if footer < xzHeaderSize || string(stream[6:8]) != xzFlags {
		return errXZ
	}
	index := footer - 4*(int(binary.LittleEndian.Uint32(stream[footer+4:]))+1)
	if index < xzHeaderSize || stream[index] != 0 {
		return errXZ
	}
	rest := stream[index+1 : footer]
	count, n := binary.Uvarint(rest)
	rest = rest[max(n, 0):]
	end := 0 // of the records: two numbers each
	for range 2 * count {
		_, n := binary.Uvarint(rest[end:])
		if n <= 0 {
			return errXZ
		}
		end += n
	}
	x.count += count
	x.records = append(x.records, rest[:end]...)
	_, err := x.w.Write(stream[xzHeaderSize:index])
	return err
}

// Close writes the index and the footer.
func (x *xzWriter) Close() error {
	if x.closed {
		return nil
	}
	if err := x.pieces.Close(); err != nil {
		return err
	}
	index := append(binary.AppendUvarint([]byte{0}, x.count), x.records...)
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	tail = append(tail, xzFlags...)
	out := binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(tail))
	_, err := x.w.Write(append(append(out, tail...), xzEnd...))
	return err
}
