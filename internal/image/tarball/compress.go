package tarball

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	dexz "github.com/therootcompany/xz"
	"github.com/ulikunitz/xz"
)

// Compression is how an archive is compressed.
type Compression string

// The compressions. All but None carry a checksum of the content.
const (
	None Compression = ""
	Zstd Compression = "zst"
	Gzip Compression = "gz"
	XZ   Compression = "xz"
)

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// writer compresses to w. Closing it does not close w.
func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{w}, nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithEncoderConcurrency(2)) // fixed, so that the machine cannot matter
	case Gzip: // no name and no time in the header
		return gzip.NewWriterLevel(w, gzip.DefaultCompression)
	case XZ:
		return newChunks(w, xzChunk, compressXZ), nil
	}
	return nil, fmt.Errorf("unknown compression %q", string(c))
}

// xzChunk is how much of the archive goes into one xz stream. Streams follow
// each other in the file, which every xz reader takes as one (The .xz File
// Format, 2), and can be made in parallel.
var xzChunk = 16 << 20 // smaller in tests

func compressXZ(src []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := xz.WriterConfig{CheckSum: xz.CRC64, DictCap: 8 << 20}.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(src); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// maxWindow bounds the memory that a compressed file can ask of its reader.
const maxWindow = 128 << 20

// Decompress reads a plain or compressed stream, told apart by its first
// bytes. Checksums of the compression are verified.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head, err := br.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(br, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(br)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		z, err := dexz.NewReader(br, maxWindow)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(z), nil
	}
	return io.NopCloser(br), nil
}
