package qcow2

import (
	"bytes"
	"context"
	"fmt"

	"slipway/internal/image"
)

// cutter cuts a stream into clusters and emits those that are not all zeros.
// What it emits is only valid during the call.
type cutter struct {
	at   int64 // bytes so far
	buf  []byte
	emit func(index int64, data []byte) error
}

var _ image.Holer = (*cutter)(nil)

// cut runs a volume through a cutter.
func cut(ctx context.Context, v image.Volume, emit func(int64, []byte) error) error {
	c := &cutter{buf: make([]byte, 0, clusterSize), emit: emit}
	if err := v.Write(ctx, c); err != nil {
		return err
	}
	if c.at != v.Size() {
		return fmt.Errorf("the volume wrote %d bytes, and said %d", c.at, v.Size())
	}
	if len(c.buf) == 0 {
		return nil
	}
	c.buf = append(c.buf, make([]byte, clusterSize-len(c.buf))...)
	c.at += -c.at & (clusterSize - 1)
	return c.flush()
}

func (c *cutter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(c.buf) == 0 && len(b) >= clusterSize { // without a copy
			c.at += clusterSize
			if err := c.pass(b[:clusterSize]); err != nil {
				return 0, err
			}
			b = b[clusterSize:]
			continue
		}
		part := b[:min(len(b), clusterSize-len(c.buf))]
		c.buf, b = append(c.buf, part...), b[len(part):]
		c.at += int64(len(part))
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Hole implements image.Holer.
func (c *cutter) Hole(n int64) error {
	if n < 0 {
		return fmt.Errorf("a hole of %d bytes", n)
	}
	if len(c.buf) > 0 {
		part := min(n, int64(clusterSize-len(c.buf)))
		c.buf = append(c.buf, make([]byte, part)...)
		c.at, n = c.at+part, n-part
		if err := c.flush(); err != nil {
			return err
		}
	}
	whole := n &^ (clusterSize - 1)
	c.at += whole
	c.buf = append(c.buf, make([]byte, n-whole)...)
	c.at += n - whole
	return nil
}

// flush passes a full buffer on.
func (c *cutter) flush() error {
	if len(c.buf) < clusterSize {
		return nil
	}
	err := c.pass(c.buf)
	c.buf = c.buf[:0]
	return err
}

// pass emits the cluster that ends at c.at.
func (c *cutter) pass(b []byte) error {
	if zero(b) {
		return nil
	}
	return c.emit(c.at/clusterSize-1, b)
}

func zero(b []byte) bool { return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }
