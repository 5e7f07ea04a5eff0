package ext4

import (
	"bytes"
	"context"
	"io"

	"slipway/internal/image"
)

const (
	outputBuffer = 1 << 20
	minHole      = 64 << 10 // shorter runs of zeros in contents are written
)

// output appends to a volume: small pieces are gathered, large ones pass
// through, holes are joined. After an error it does nothing any more.
type output struct {
	ctx  context.Context
	w    io.Writer
	buf  []byte
	hole int64 // pending, behind buf
	at   int64
	err  error
}

func newOutput(ctx context.Context, w io.Writer) *output {
	return &output{ctx: ctx, w: w, buf: make([]byte, 0, outputBuffer)}
}

func (o *output) zeros(n int64) {
	o.at += n
	o.hole += n
}

// free passes over bytes that mean nothing to anybody.
func (o *output) free(n int64) {
	if o.flush(); o.err == nil {
		o.err = image.Skip(o.w, n)
	}
	o.at += n
}

func (o *output) bytes(b []byte) {
	o.at += int64(len(b))
	if o.hole > 0 {
		if o.hole < minHole && len(o.buf)+int(o.hole) <= cap(o.buf) {
			o.buf = append(o.buf, make([]byte, o.hole)...)
			o.hole = 0
		} else {
			o.flush()
		}
	}
	if len(o.buf)+len(b) > cap(o.buf) {
		o.flush()
	}
	if len(b) >= cap(o.buf) {
		o.write(b)
		return
	}
	o.buf = append(o.buf, b...)
}

// sparse appends contents, with long runs of zeros as holes.
func (o *output) sparse(b []byte) {
	from := 0
	for at := 0; at+minHole <= len(b); at += minHole {
		if part := b[at : at+minHole]; part[0] != 0 || !bytes.Equal(part, zeroRun[:]) {
			continue
		}
		if from < at {
			o.bytes(b[from:at])
		}
		o.zeros(minHole)
		from = at + minHole
	}
	if from < len(b) {
		o.bytes(b[from:])
	}
}

var zeroRun [minHole]byte

func (o *output) write(b []byte) {
	if o.err == nil {
		o.err = o.ctx.Err()
	}
	if o.err == nil && len(b) > 0 {
		_, o.err = o.w.Write(b)
	}
}

func (o *output) flush() {
	o.write(o.buf)
	o.buf = o.buf[:0]
	if o.err == nil && o.hole > 0 {
		o.err = image.Hole(o.w, o.hole)
	}
	o.hole = 0
}
