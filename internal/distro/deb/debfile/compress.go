package debfile

import (
	"bufio"
	"compress/bzip2"
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"

	"slipway/internal/xz"
)

// inputBuffer is the size of reads from a package, in bytes.
const inputBuffer = 128 << 10

var gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}

// zstdDictMax bounds the window of a zstd member, in bytes. dpkg-deb's
// strongest level uses 8 MiB, "zstd --ultra -22" 128 MiB.
const zstdDictMax = 128 << 20

// open decompresses m by the suffix of its name. Close it when done; decoders
// are reused.
func (m member) open(r io.ReaderAt) (io.ReadCloser, error) {
	section := io.NewSectionReader(r, m.offset, m.size)
	switch suffix := path.Ext(m.name); suffix {
	case ".tar":
		return io.NopCloser(bufio.NewReaderSize(section, inputBuffer)), nil
	case ".xz":
		return xz.NewParallelReader(section, m.size)
	case ".gz":
		return openGzip(section)
	case ".zst":
		d, err := zstd.NewReader(bufio.NewReaderSize(section, inputBuffer),
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdDictMax))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(bufio.NewReaderSize(section, inputBuffer))), nil
	case ".lzma":
		d, err := lzma.ReaderConfig{DictCap: xz.DictMax}.NewReader(bufio.NewReaderSize(section, inputBuffer))
		if err != nil {
			return nil, err
		}
		return io.NopCloser(d), nil
	default:
		return nil, fmt.Errorf("%w: unknown compression %q", ErrFormat, suffix)
	}
}

func openGzip(r io.Reader) (io.ReadCloser, error) {
	z := gzips.Get().(*gzip.Reader)
	if err := z.Reset(bufio.NewReaderSize(r, inputBuffer)); err != nil {
		return nil, err
	}
	return &pooledGzip{z}, nil
}

type pooledGzip struct{ *gzip.Reader }

// Close gives the decoder back. It must be called once only.
func (p *pooledGzip) Close() error {
	gzips.Put(p.Reader)
	return nil
}
