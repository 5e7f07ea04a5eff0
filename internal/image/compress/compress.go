// Package compress is how image formats compress a whole stream: gzip, zstd
// and xz, on all CPUs, with output that depends on the input alone.
//
// Each gives one gzip member, one zstd frame, one xz stream, never several in
// a row. Most readers take several as one, but the kernel does not: its
// initramfs unpacker (init/initramfs.c) calls the decompressor once for each
// and demands a complete archive every time. The other limits are the
// kernel's too: windows of at most 8 MB, CRC-32 as the check of xz.
package compress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Format is a compression, named like the suffix of its files.
type Format string

// The formats. All but None carry a checksum of the content.
const (
	None Format = ""
	Zstd Format = "zst"
	Gzip Format = "gz"
	XZ   Format = "xz"
)

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Writer compresses to w. Close it in any case, also after an error: it ends
// goroutines. Closing it does not close w. Errors of w may come out late.
func (c Format) Writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{w}, nil
	case Zstd:
		return newZstd(w)
	case Gzip:
		return newGzip(w)
	case XZ:
		return newXZ(w)
	}
	return nil, fmt.Errorf("unknown compression %q", string(c))
}

// workers bounds the pieces that are in memory at once.
func workers() int { return min(runtime.GOMAXPROCS(0), 8) }

// zstdWindow makes the pieces that are compressed in parallel four times as
// large, 4 MB; a larger one gains nearly nothing on files of a system.
const zstdWindow = 1 << 20

// newZstd never asks for fewer than two workers, because one alone makes no
// pieces and so other bytes.
func newZstd(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(zstdWindow), zstd.WithConcurrentBlocks(true), zstd.WithEncoderConcurrency(max(2, workers())))
}

// maxWindow bounds the memory that a compressed file can ask of its reader.
const maxWindow = 128 << 20

// Reader reads a plain or compressed stream, told apart by its first bytes.
// Checksums of the compression are verified.
func Reader(r io.Reader) (io.ReadCloser, error) {
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
		z, err := xz.NewReader(br, maxWindow)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(z), nil
	}
	return io.NopCloser(br), nil
}
