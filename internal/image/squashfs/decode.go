package squashfs

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	dexz "github.com/therootcompany/xz"
)

// decoder decompresses blocks; it can be used by several goroutines at once.
type decoder func(src []byte, limit int) ([]byte, error)

// newDecoder gives the decoder for an id of the superblock.
func newDecoder(id uint16) (decoder, error) {
	switch id {
	case codecs[Zstd].id:
		return newZstdDecoder()
	case codecs[Gzip].id:
		return streamDecoder(func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }), nil
	case codecs[XZ].id:
		return streamDecoder(func(r io.Reader) (io.Reader, error) { return dexz.NewReader(r, maxBlockSize) }), nil
	}
	return nil, fmt.Errorf("compression %d is not supported, only gzip (1), xz (4) and zstd (6)", id)
}

func newZstdDecoder() (decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBlockSize), zstd.WithDecoderMaxWindow(maxBlockSize),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return func(src []byte, limit int) ([]byte, error) { return z.DecodeAll(src, make([]byte, 0, limit)) }, nil
}

func streamDecoder(open func(io.Reader) (io.Reader, error)) decoder {
	return func(src []byte, limit int) ([]byte, error) {
		r, err := open(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if _, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1)); err != nil {
			return nil, err
		}
		if out.Len() > limit {
			return nil, fmt.Errorf("a block of more than %d bytes", limit)
		}
		return out.Bytes(), nil
	}
}
