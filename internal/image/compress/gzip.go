package compress

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// gzipPiece is how much one worker compresses at once; smaller in tests.
var gzipPiece = 1 << 20

// gzipWriter writes one gzip member (RFC 1952) without name and time. Its
// pieces end at byte boundaries and go on with the window of the one before.
type gzipWriter struct {
	*pieces
	w    io.Writer
	crc  uint32
	size uint32
}

func newGzip(w io.Writer) (io.WriteCloser, error) {
	// Magic, deflate, no flags, no time, no extra flags, unknown system.
	_, err := w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255})
	if err != nil {
		return nil, err
	}
	emit := func(b []byte) error {
		_, err := w.Write(b)
		return err
	}
	return &gzipWriter{pieces: newPieces(gzipPiece, 32<<10, workers(), deflate, emit), w: w}, nil
}

func deflate(before, piece []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := flate.NewWriterDict(&out, flate.DefaultCompression, before)
	if err == nil {
		_, err = z.Write(piece)
	}
	if err == nil {
		err = z.Flush()
	}
	return out.Bytes(), err
}

func (g *gzipWriter) Write(b []byte) (int, error) {
	g.crc = crc32.Update(g.crc, crc32.IEEETable, b)
	g.size += uint32(len(b))
	return g.pieces.Write(b)
}

// Close ends the member with an empty last block (RFC 1951, 3.2.6) and the
// trailer.
func (g *gzipWriter) Close() error {
	if g.closed {
		return nil
	}
	if err := g.pieces.Close(); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32([]byte{3, 0}, g.crc)
	_, err := g.w.Write(binary.LittleEndian.AppendUint32(end, g.size))
	return err
}
