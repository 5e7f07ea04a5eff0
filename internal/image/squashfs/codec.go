package squashfs

import (
	"bytes"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// codec compresses blocks that have nothing to do with each other, so that
// what it returns depends on the block alone. It is for one goroutine.
type codec interface {
	// compress appends the compressed form of src to dst.
	compress(dst, src []byte) ([]byte, error)
}

// codecs lists the compressions.
var codecs = map[Compression]struct {
	id     uint16 // of the superblock
	level  int    // when none is given
	levels int    // the highest
	open   func(level, blockSize int) (codec, error)
}{
	Gzip: {1, 6, 9, newGzip},
	XZ:   {4, 0, 0, newXZ},
	Zstd: {6, 2, 4, newZstd},
}

type zstdCodec struct{ *zstd.Encoder }

// newZstd makes frames with a window of at most one block, which is what the
// kernel's decompressor has memory for. They have no checksum: the kernel gives
// up when it has filled the last page of a block and the frame does not end
// yet, and that happens when the checksum lies beyond a page of the image.
func newZstd(level, blockSize int) (codec, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(blockSize), zstd.WithEncoderCRC(false))
	return zstdCodec{e}, err
}

func (c zstdCodec) compress(dst, src []byte) ([]byte, error) { return c.EncodeAll(src, dst), nil }

// appender is a writer into a slice.
type appender struct{ b []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}

type gzipCodec struct{ z *zlib.Writer }

// newGzip makes zlib streams (RFC 1950), which is what squashfs calls gzip.
func newGzip(level, _ int) (codec, error) {
	z, err := zlib.NewWriterLevel(nil, level)
	return gzipCodec{z}, err
}

func (c gzipCodec) compress(dst, src []byte) ([]byte, error) {
	out := appender{dst}
	c.z.Reset(&out)
	if _, err := c.z.Write(src); err != nil {
		return nil, err
	}
	err := c.z.Close()
	return out.b, err
}

type xzCodec struct{ xz.WriterConfig }

// newXZ makes streams with the only checksum that the kernel knows, and a
// dictionary of one block, which is what it has memory for.
func newXZ(_, blockSize int) (codec, error) {
	c := xzCodec{xz.WriterConfig{CheckSum: xz.CRC32, DictCap: max(blockSize, metaSize)}}
	return c, c.Verify()
}

func (c xzCodec) compress(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	z, err := c.NewWriter(out)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(src); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}
