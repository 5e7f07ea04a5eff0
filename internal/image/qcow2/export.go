package qcow2

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"slipway/internal/image"
)

// Write implements image.Volume: it streams the disk, raw, with holes. An
// image with a backing file is an error, since that file is not read.
func (i *Image) Write(ctx context.Context, w io.Writer) error {
	if i.Backing != "" {
		return fmt.Errorf("reading a qcow2 image: it is an overlay over %s; flatten it with qemu-img convert first", i.Backing)
	}
	e := newExporter(i, w)
	defer e.close()
	if err := i.walk(ctx, e.cluster); err != nil {
		return err
	}
	if err := e.flush(); err != nil {
		return err
	}
	return image.Hole(e.out, i.size-e.out.N)
}

// batchBytes bounds the clusters that are read at a time.
const batchBytes = 8 << 20

// exporter reads clusters, several at a time, and writes them in order.
type exporter struct {
	*Image
	out     *image.Counter
	batch   []loaded
	buf     []byte // for the batch
	decoder []decoder
}

// loaded is a cluster with data.
type loaded struct {
	at    int64 // of the disk
	entry uint64
	err   error
}

func newExporter(i *Image, w io.Writer) *exporter {
	n := max(1, batchBytes/i.ClusterSize)
	return &exporter{Image: i, out: &image.Counter{W: w}, batch: make([]loaded, 0, min(n, 256)),
		decoder: make([]decoder, runtime.GOMAXPROCS(0))}
}

func (e *exporter) close() {
	for n := range e.decoder {
		e.decoder[n].close()
	}
}

// cluster takes a cluster into the batch.
func (e *exporter) cluster(at int64, entry uint64) error {
	if e.kind(entry) == hole {
		return nil
	}
	e.batch = append(e.batch, loaded{at: at, entry: entry})
	if len(e.batch) < cap(e.batch) {
		return nil
	}
	return e.flush()
}

// flush reads and writes the batch.
func (e *exporter) flush() error {
	if need := len(e.batch) * int(e.ClusterSize); len(e.buf) < need {
		e.buf = make([]byte, need)
	}
	var wg sync.WaitGroup
	for d := range e.decoder {
		wg.Go(func() {
			for n := d; n < len(e.batch); n += len(e.decoder) {
				e.batch[n].err = e.read(&e.decoder[d], e.data(n), e.batch[n].entry)
			}
		})
	}
	wg.Wait()
	for n := range e.batch {
		if err := e.put(&e.batch[n], e.data(n)); err != nil {
			return err
		}
	}
	e.batch = e.batch[:0]
	return nil
}

// data is where the n-th cluster of the batch is read to.
func (e *exporter) data(n int) []byte { return e.buf[n*int(e.ClusterSize):][:e.ClusterSize] }

// put writes a cluster, and the hole before it.
func (e *exporter) put(c *loaded, b []byte) error {
	if c.err != nil {
		return fmt.Errorf("reading a qcow2 image: cluster at %d: %w", c.at, c.err)
	}
	if zero(b) {
		return nil
	}
	if err := image.Hole(e.out, c.at-e.out.N); err != nil {
		return err
	}
	_, err := e.out.Write(b[:min(int64(len(b)), e.size-c.at)])
	return err
}

func (e *exporter) read(d *decoder, b []byte, entry uint64) error {
	if e.kind(entry) == packed {
		return e.unpack(d, b, entry)
	}
	return e.load(b, int64(entry&offsetMask))
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

func (e *exporter) unpack(d *decoder, b []byte, entry uint64) error {
	x := 62 - (e.bits - 8)
	offset := int64(entry & (1<<x - 1))
	sectors := int64(entry &^ (flagCopied | flagCompressed) >> x)
	length := min((sectors+1)*512-offset%512, e.fileSize-offset)
	if length <= 0 {
		return fmt.Errorf("it is compressed at %d of %d bytes", offset, e.fileSize)
	}
	if int64(cap(d.data)) < length {
		d.data = make([]byte, length) // at most two clusters: sectors has as many bits
	}
	if _, err := e.r.ReadAt(d.data[:length], offset); err != nil {
		return err
	}
	return d.decompress(e.Compression, b, d.data[:length])
}
