package qcow2

import (
	"bytes"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// window of deflated clusters: QEMU decompresses with no more.
const window = 4096

// press compresses clusters, several at a time, and passes them on in order.
// One that does not become smaller is passed on as it is.
type press struct {
	kind  Compression
	small func(int64, []byte) error
	plain func(int64, []byte) error

	index []int64
	data  [][]byte
	out   []bytes.Buffer
	codec []codec
}

type codec struct {
	deflate *flate.Writer
	zstd    *zstd.Encoder
}

func newPress(kind Compression, small, plain func(int64, []byte) error) *press {
	return &press{kind: kind, small: small, plain: plain,
		out: make([]bytes.Buffer, 64), codec: make([]codec, runtime.GOMAXPROCS(0))}
}

func (p *press) add(i int64, data []byte) error {
	n := len(p.index)
	if n == len(p.out) {
		if err := p.flush(); err != nil {
			return err
		}
		n = 0
	}
	p.index = append(p.index, i)
	if n == len(p.data) {
		p.data = append(p.data, make([]byte, clusterSize))
	}
	copy(p.data[n], data)
	return nil
}

// flush compresses what waits.
func (p *press) flush() error {
	var wg sync.WaitGroup
	errs := make([]error, len(p.codec))
	for c := range p.codec {
		wg.Go(func() {
			for n := c; n < len(p.index) && errs[c] == nil; n += len(p.codec) {
				p.out[n].Reset()
				errs[c] = p.codec[c].compress(p.kind, &p.out[n], p.data[n])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for n, i := range p.index {
		pass, b := p.small, p.out[n].Bytes()
		if len(b) >= clusterSize-512 {
			pass, b = p.plain, p.data[n]
		}
		if err := pass(i, b); err != nil {
			return err
		}
	}
	p.index = p.index[:0]
	return nil
}

func (c *codec) compress(kind Compression, out *bytes.Buffer, data []byte) (err error) {
	if kind == Zstd {
		if c.zstd == nil {
			c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
			if err != nil {
				return err
			}
		}
		out.Write(c.zstd.EncodeAll(data, nil))
		return nil
	}
	if c.deflate == nil {
		if c.deflate, err = flate.NewWriterWindow(out, window); err != nil {
			return err
		}
	} else {
		c.deflate.Reset(out)
	}
	if _, err := c.deflate.Write(data); err != nil {
		return err
	}
	return c.deflate.Close()
}

// decoder decompresses clusters.
type decoder struct {
	deflate io.ReadCloser
	zstd    *zstd.Decoder
	in      bytes.Reader
	data    []byte // compressed
}

// decompress fills a cluster from data with something else behind it.
func (d *decoder) decompress(kind Compression, to, data []byte) error {
	d.in.Reset(data)
	var r io.Reader
	var err error
	if kind == Zstd {
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(8<<20))
		}
		if err == nil {
			err = d.zstd.Reset(&d.in)
		}
		r = d.zstd
	} else {
		if d.deflate == nil {
			d.deflate = flate.NewReader(&d.in)
		} else {
			err = d.deflate.(flate.Resetter).Reset(&d.in, nil)
		}
		r = d.deflate
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(r, to)
	return err
}

func (d *decoder) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}
