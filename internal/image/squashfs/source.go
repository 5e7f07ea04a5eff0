package squashfs

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/tree"
)

// reader reads one unit.
type reader struct {
	*pipeline
	ctx    context.Context
	unit   int
	blocks chan<- *block
}

func (r *reader) read(u unit) error {
	if u.fragment {
		return r.fragment(u.files)
	}
	f := u.files[0]
	if err := r.blocksOf(f); err != nil {
		return fmt.Errorf("%q: %w", f.name, err)
	}
	return nil
}

// buffer is room for a block, when there may be one.
func (r *reader) buffer() ([]byte, error) {
	if err := r.budget.take(r.ctx, r.unit); err != nil {
		return nil, err
	}
	return (*r.pool.Get().(*[]byte))[:0], nil
}

func (r *reader) send(raw []byte, size uint32) error {
	b := &block{raw: raw, size: size, done: make(chan struct{})}
	for _, c := range []chan<- *block{r.work, r.blocks} {
		select {
		case c <- b:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return nil
}

// blocksOf reads a file of at least a block.
func (r *reader) blocksOf(f *file) error {
	in, err := r.content.Open(f.digest)
	if err != nil {
		return err
	}
	defer in.Close()
	for left := f.size; left > 0; {
		buf, err := r.buffer()
		if err != nil {
			return err
		}
		buf = buf[:min(left, int64(r.set.BlockSize))]
		if err := readFull(in, buf, f.size-left, f.size); err != nil {
			return err
		}
		left -= int64(len(buf))
		if left == 0 {
			if err := atEnd(in, f.size); err != nil {
				return err
			}
		}
		if err := r.send(buf, 0); err != nil {
			return err
		}
	}
	return nil
}

// fragment reads the files of a fragment. It is written even if all of it is
// zero: fragments cannot have holes.
func (r *reader) fragment(files []*file) error {
	buf, err := r.buffer()
	if err != nil {
		return err
	}
	for _, f := range files {
		n := len(buf)
		buf = buf[:n+int(f.size)]
		if err := load(r.content, f, buf[n:]); err != nil {
			return fmt.Errorf("%q: %w", f.name, err)
		}
	}
	return r.send(buf, uint32(len(buf)))
}

func load(c tree.Content, f *file, buf []byte) error {
	in, err := c.Open(f.digest)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := readFull(in, buf, 0, f.size); err != nil {
		return err
	}
	return atEnd(in, f.size)
}

func readFull(in io.Reader, buf []byte, at, want int64) error {
	n, err := io.ReadFull(in, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("got %d bytes of content, want %d", at+int64(n), want)
	}
	return err
}

// atEnd also lets a verifying Content come to its verdict.
func atEnd(in io.Reader, want int64) error {
	var more [1]byte
	switch n, err := io.ReadFull(in, more[:]); {
	case n > 0:
		return fmt.Errorf("got more than %d bytes of content", want)
	case err != io.EOF:
		return err
	}
	return nil
}
