package qcow2

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
)

// Write implements image.Volume: it streams the disk, raw, with holes. An
// image with a backing file is an error, since that file is not read.
func (i *Image) Write(ctx context.Context, w io.Writer) error {
	if i.Backing != "" {
		return fmt.Errorf("reading a qcow2 image: it is an overlay over %s; flatten it with qemu-img convert first", i.Backing)
	}
	e := &exporter{Image: i, out: &image.Counter{W: w}, buf: make([]byte, i.ClusterSize)}
	defer e.dec.close()
	if err := i.walk(ctx, e.cluster); err != nil {
		return err
	}
	return image.Hole(e.out, i.size-e.out.N)
}

type exporter struct {
	*Image
	out *image.Counter
	buf []byte
	in  []byte // compressed data
	dec decoder
}

// cluster writes one cluster, and the hole before it.
func (e *exporter) cluster(at int64, entry uint64) error {
	kind := e.kind(entry)
	if kind == hole {
		return nil
	}
	b := e.buf
	if kind == packed {
		if err := e.unpack(b, entry); err != nil {
			return fmt.Errorf("reading a qcow2 image: compressed cluster at %d: %w", at, err)
		}
	} else if err := e.load(b, int64(entry&offsetMask)); err != nil {
		return fmt.Errorf("reading a qcow2 image: cluster at %d: %w", at, err)
	}
	if zero(b) {
		return nil
	}
	if err := image.Hole(e.out, at-e.out.N); err != nil {
		return err
	}
	_, err := e.out.Write(b[:min(int64(len(b)), e.size-at)])
	return err
}

// load reads a whole cluster; the last one of a file may end early.
func (e *exporter) load(b []byte, offset int64) error {
	if offset&(e.ClusterSize-1) != 0 || offset >= e.fileSize {
		return fmt.Errorf("it is at %d of %d bytes", offset, e.fileSize)
	}
	n, err := e.r.ReadAt(b, offset)
	if err == io.EOF && n > 0 {
		clear(b[n:])
		return nil
	}
	return err
}

func (e *exporter) unpack(b []byte, entry uint64) error {
	x := 62 - (e.bits - 8)
	offset := int64(entry & (1<<x - 1))
	sectors := int64(entry &^ (flagCopied | flagCompressed) >> x)
	length := min((sectors+1)*512-offset%512, e.fileSize-offset)
	if length <= 0 {
		return fmt.Errorf("it is at %d of %d bytes", offset, e.fileSize)
	}
	if int64(cap(e.in)) < length {
		e.in = make([]byte, length) // at most two clusters: sectors has as many bits
	}
	if _, err := e.r.ReadAt(e.in[:length], offset); err != nil {
		return err
	}
	return e.dec.decompress(e.Compression, b, e.in[:length])
}
