package image

import (
	"context"
	"io"
)

// VolumeOptions say how a filesystem is laid out. The zero value gives the
// smallest one that holds the tree, without label, with an all-zero UUID.
type VolumeOptions struct {
	Size   int64    // bytes of the volume; 0: the tree and Free
	Free   int64    // bytes that stay free when Size is 0
	Sector int      // bytes of a logical sector, 512 or 4096; 0: 512
	UUID   [16]byte // as written: the first byte is the first printed pair of digits
	Label  string
	Epoch  int64 // as in Options
	// Subvolumes are folders that become subvolumes, with those above them
	// made if need be; btrfs only.
	Subvolumes []string
}

// Volume is what fills a partition, or a whole disk without a table: a
// filesystem that was laid out and can be written. Its size is known, so that
// a table can be made around it. Write streams it in order, exactly Size
// bytes, with Hole where it holds only zeros; it may be called again.
type Volume interface {
	Size() int64
	Write(ctx context.Context, w io.Writer) error
}

// Holer is a writer that can leave out zeros, a sparse file for example.
type Holer interface {
	// Hole appends n bytes of zeros.
	Hole(n int64) error
}

var zeros [256 << 10]byte

// Hole appends n bytes of zeros to w: as a hole where w can, as bytes elsewhere.
func Hole(w io.Writer, n int64) error {
	if h, ok := w.(Holer); ok {
		return h.Hole(n)
	}
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// Skipper is a writer that can pass over bytes, a disk for example.
type Skipper interface {
	// Skip passes over n bytes: what was there may stay there.
	Skip(n int64) error
}

// Skip appends n bytes whose content means nothing, free space of a file
// system for example: a Skipper leaves there what was there, others get zeros.
func Skip(w io.Writer, n int64) error {
	if s, ok := w.(Skipper); ok {
		return s.Skip(n)
	}
	return Hole(w, n)
}

// Counter counts what passes to W, holes too.
type Counter struct {
	W io.Writer
	N int64
}

func (c *Counter) Write(b []byte) (int, error) {
	n, err := c.W.Write(b)
	c.N += int64(n)
	return n, err
}

// Skip implements Skipper.
func (c *Counter) Skip(n int64) error {
	if err := Skip(c.W, n); err != nil {
		return err
	}
	c.N += n
	return nil
}

// Hole implements Holer.
func (c *Counter) Hole(n int64) error {
	if err := Hole(c.W, n); err != nil {
		return err
	}
	c.N += n
	return nil
}
