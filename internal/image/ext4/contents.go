package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"slipway/internal/tree"
)

const (
	batchSize = 1 << 20 // bytes of small files, or of a part of a large one, read at once
	batches   = 8       // in preparation or waiting to be written
	parts     = 2       // of a large file that wait
)

// batch is content that lies together: several small nodes, or one large file
// in parts. Whoever prepares it sends its blocks, padded, and closes parts.
type batch struct {
	from, to int // nodes
	blocks   int64
	parts    chan []byte
}

// allContents writes files and slow symbolic links. Several goroutines read
// ahead; this one writes in order.
func (x *writer) allContents(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	r := &reader{plan: x.plan, free: make(chan []byte, batches*(parts+1))}
	work, order := make(chan *batch), make(chan *batch, batches)
	all.Go(func() error {
		defer close(work)
		defer close(order)
		return r.divide(ctx, func(b *batch) error {
			for _, c := range []chan *batch{order, work} {
				select {
				case c <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range runtime.GOMAXPROCS(0) + 1 {
		all.Go(func() error {
			for b := range work {
				if err := r.read(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error { return x.consume(ctx, order, r) })
	return all.Wait()
}

// consume writes batches in order.
func (x *writer) consume(ctx context.Context, order <-chan *batch, r *reader) error {
	for b := range order {
		for open := true; open; {
			var part []byte
			select {
			case part, open = <-b.parts:
			case <-ctx.Done():
				return ctx.Err()
			}
			x.data(part)
			r.recycle(part)
		}
		x.extentBlocks(&x.list[b.to-1], inode(b.to-1))
		if x.out.err != nil {
			return x.out.err
		}
	}
	return nil
}

// reader fills batches.
type reader struct {
	*plan
	free chan []byte
}

func (r *reader) buffer() []byte {
	select {
	case b := <-r.free:
		return b
	default:
		return make([]byte, batchSize)
	}
}

func (r *reader) recycle(b []byte) {
	if cap(b) != batchSize {
		return
	}
	select {
	case r.free <- b[:batchSize]:
	default:
	}
}

// divide makes batches of all nodes that have content.
func (r *reader) divide(ctx context.Context, do func(*batch) error) error {
	var b *batch
	for n := range r.list {
		node := &r.list[n]
		if r.isDir(n) || node.blocks == 0 {
			continue
		}
		if b != nil && (node.tree > 0 || b.blocks+node.blocks > batchSize/blockSize) {
			if err := do(b); err != nil {
				return err
			}
			b = nil
		}
		if b == nil {
			b = &batch{from: n, parts: make(chan []byte, parts)}
		}
		b.to = n + 1
		b.blocks += node.blocks
		if node.tree > 0 {
			if err := do(b); err != nil {
				return err
			}
			b = nil
		}
	}
	if b == nil {
		return nil
	}
	return do(b)
}

// read prepares one batch.
func (r *reader) read(ctx context.Context, b *batch) error {
	defer close(b.parts)
	if b.blocks > batchSize/blockSize {
		return r.large(ctx, b)
	}
	buf := r.buffer()
	at := 0
	for n := b.from; n < b.to; n++ {
		node := &r.list[n]
		if r.isDir(n) || node.blocks == 0 {
			continue
		}
		room := buf[at : at+int(node.blocks)*blockSize]
		if err := r.small(room, r.entryOf(n)); err != nil {
			return fmt.Errorf("%q: %w", r.entryOf(n).Path, err)
		}
		at += len(room)
	}
	return send(ctx, b, buf[:at])
}

func send(ctx context.Context, b *batch, part []byte) error {
	select {
	case b.parts <- part:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// small reads a whole content.
func (r *reader) small(room []byte, e *tree.Entry) error {
	if e.Type == tree.Symlink {
		clear(room[copy(room, e.Target):])
		return nil
	}
	f, err := r.content.Open(e.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := exactly(f, room[:e.Size], e, e.Size); err != nil {
		return err
	}
	clear(room[e.Size:])
	return atEnd(f, e)
}

// large reads a content in parts.
func (r *reader) large(ctx context.Context, b *batch) error {
	e := r.entryOf(b.from)
	err := r.inParts(ctx, b, e)
	if err != nil {
		return fmt.Errorf("%q: %w", e.Path, err)
	}
	return nil
}

func (r *reader) inParts(ctx context.Context, b *batch, e *tree.Entry) error {
	f, err := r.content.Open(e.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := e.Size; left > 0; left -= batchSize {
		buf := r.buffer()
		n := int(min(left, batchSize))
		if err := exactly(f, buf[:n], e, left); err != nil {
			return err
		}
		end := (n + blockSize - 1) &^ (blockSize - 1)
		clear(buf[n:end])
		if err := send(ctx, b, buf[:end]); err != nil {
			return err
		}
	}
	return atEnd(f, e)
}

func exactly(f io.Reader, b []byte, e *tree.Entry, left int64) error {
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("got %d bytes of content, want %d", e.Size-left+int64(n), e.Size)
	}
	return err
}

func atEnd(f io.Reader, e *tree.Entry) error {
	var b [1]byte
	switch n, err := io.ReadFull(f, b[:]); {
	case n > 0:
		return fmt.Errorf("got more content than the %d bytes it should have", e.Size)
	case err == io.EOF:
		return nil
	default:
		return err
	}
}
