package erofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"slipway/internal/tree"
)

const (
	unitSize = 128 << 10 // of content that is compressed at once
	maxZeros = 7         // units of zeros that share one block: LZ4 makes 255 of one byte at best
)

// extent is a part of a compressed content: clusters of 4 KiB, only the last
// of a content less, that became blocks. With 0 blocks each of its clusters is
// a block, not compressed.
type extent struct{ clusters, blocks uint16 }

func (x extent) size() int64 {
	if x.blocks == 0 {
		return int64(x.clusters) * blockSize
	}
	return int64(x.blocks) * blockSize
}

// unit is a piece of content on its way through the workers.
type unit struct {
	to    *inode
	src   []byte
	zeros int // bytes of a hole instead of src
	last  bool
	out   []byte // padded in front to whole blocks; src, padded, when that is no smaller
	raw   bool
	err   error
	done  chan struct{}
}

// compress makes the extents of all contents that get smaller, in the spool.
func (v *volume) compress(ctx context.Context) error {
	var err error
	if v.spool, err = newSpool(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := runtime.GOMAXPROCS(0)
	queue := make(chan *unit, 2*work) // in order
	todo := make(chan *unit, 2*work)
	var wg sync.WaitGroup
	for range work {
		wg.Go(func() {
			table := new(lz4Table)
			for u := range todo {
				u.pack(table)
				close(u.done)
			}
		})
	}
	wg.Go(func() {
		defer close(queue)
		defer close(todo)
		v.feed(ctx, queue, todo)
	})
	err = v.gather(queue)
	cancel()
	for range queue { // so that the feeder ends
	}
	wg.Wait()
	if err != nil {
		return err
	}
	return v.spool.w.Flush()
}

// feed cuts all contents into units. An error becomes the last unit.
func (v *volume) feed(ctx context.Context, queue, todo chan<- *unit) {
	send := func(u *unit) error {
		u.done = make(chan struct{})
		select {
		case queue <- u:
			todo <- u
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, n := range v.inodes {
		if n.e.Type != tree.File || n.size <= blockSize {
			continue
		}
		if err := v.cut(n, send); err != nil {
			u := &unit{to: n, err: err, done: make(chan struct{})}
			close(u.done)
			queue <- u
			return
		}
	}
}

// cut reads one content. Runs of zeros become long units without bytes.
func (v *volume) cut(n *inode, send func(*unit) error) error {
	r, err := v.open(n.e)
	if err != nil {
		return err
	}
	defer r.Close()
	zeros := 0
	for left := n.size; left > 0; {
		u := &unit{to: n, src: make([]byte, min(left, unitSize))}
		if err := r.full(u.src); err != nil {
			return err
		}
		left -= int64(len(u.src))
		u.last = left == 0
		if !u.last && isZero(u.src) {
			if zeros += unitSize; zeros < maxZeros*unitSize {
				continue
			}
		} else if err := flush(n, &zeros, send); err != nil {
			return err
		} else if err := send(u); err != nil {
			return err
		}
		if zeros == maxZeros*unitSize {
			if err := flush(n, &zeros, send); err != nil {
				return err
			}
		}
	}
	return r.end()
}

func flush(n *inode, zeros *int, send func(*unit) error) error {
	if *zeros == 0 {
		return nil
	}
	u := &unit{to: n, zeros: *zeros}
	*zeros = 0
	return send(u)
}

func isZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeroBlock))
		if string(b[:n]) != string(zeroBlock[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

var zeroBlock [blockSize]byte

// pack compresses a unit. LZ4's data lies at the end of its blocks, zeros are
// in front of it (EROFS_FEATURE_INCOMPAT_LZ4_0PADDING).
func (u *unit) pack(table *lz4Table) {
	if u.zeros > 0 {
		u.out = padFront(zerosLZ4(u.zeros))
		return
	}
	whole := (len(u.src) + blockSize - 1) &^ (blockSize - 1)
	if whole > blockSize {
		dst := make([]byte, whole-blockSize)
		if n := compressLZ4(dst, u.src, table); n > 0 {
			u.out = padFront(dst[:n])
			return
		}
	}
	u.raw = true
	u.out = append(u.src, zeroBlock[:whole-len(u.src)]...)
}

func padFront(b []byte) []byte {
	out := make([]byte, (len(b)+blockSize-1)&^(blockSize-1))
	copy(out[len(out)-len(b):], b)
	return out
}

func (u *unit) extent() extent {
	x := extent{clusters: uint16((max(u.zeros, len(u.src)) + blockSize - 1) / blockSize), blocks: uint16(len(u.out) / blockSize)}
	if u.raw {
		x = extent{clusters: x.blocks}
	}
	return x
}

// gather writes the units to the spool. A content none of which got smaller is
// taken out again.
func (v *volume) gather(queue <-chan *unit) error {
	start := v.spool.n
	for u := range queue {
		<-u.done
		if u.err != nil {
			if errors.Is(u.err, context.Canceled) {
				return u.err
			}
			return fmt.Errorf("%q: %w", u.to.e.Path, u.err)
		}
		if _, err := v.spool.Write(u.out); err != nil {
			return err
		}
		u.to.extents = append(u.to.extents, u.extent())
		if !u.last {
			continue
		}
		if v.spool.n-start >= (u.to.size+blockSize-1)&^(blockSize-1) {
			u.to.extents = nil
			if err := v.spool.rewind(start); err != nil {
				return err
			}
		}
		start = v.spool.n
	}
	return nil
}

// exact reads a content of known length.
type exact struct {
	io.ReadCloser
	want, got int64
}

func (v *volume) open(e *tree.Entry) (*exact, error) {
	r, err := v.content.Open(e.Digest)
	if err != nil {
		return nil, err
	}
	return &exact{ReadCloser: r, want: e.Size}, nil
}

func (x *exact) full(b []byte) error {
	n, err := io.ReadFull(x, b)
	x.got += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("got %d bytes of content, want %d", x.got, x.want)
	}
	return err
}

// end demands that nothing follows; a Content that verifies does so here.
func (x *exact) end() error {
	var b [1]byte
	switch n, err := io.ReadFull(x, b[:]); {
	case n > 0:
		return fmt.Errorf("got more than %d bytes of content", x.want)
	case err != io.EOF:
		return err
	}
	return nil
}
