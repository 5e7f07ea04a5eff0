package squashfs

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/internal/tree"
)

const (
	maxWorkers   = 16
	memoryBudget = 48 << 20 // bytes of blocks that are in memory at once
)

// block is a piece of data on its way: it is read, compressed, and written in
// its turn.
type block struct {
	raw  []byte
	out  []byte // what is to be written; empty for zeros
	size uint32 // as the inode or the fragment table has it
	done chan struct{}
}

// pipeline reads units in parallel, compresses their blocks in parallel, and
// hands the blocks out in order.
type pipeline struct {
	set     Writer
	content tree.Content
	budget  *budget
	work    chan *block
	pool    sync.Pool // of *[]byte, a block each
}

// run calls write for all blocks of all units in order, with the number of the
// unit.
func (s Writer) run(ctx context.Context, units []unit, c tree.Content, write func(int, *block) error) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	if s.Compression == Zstd && s.Level == codecs[Zstd].levels { // 34 MB of tables each
		workers = min(workers, 4)
	}
	p := &pipeline{
		set: s, content: c,
		budget: newBudget(max(2*workers, memoryBudget/2/s.BlockSize)), // a block and its compressed form
		work:   make(chan *block),
	}
	p.pool.New = func() any { b := make([]byte, 0, s.BlockSize); return &b }
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, p.budget.cond.Broadcast)()
	for range workers {
		g.Go(func() error { return p.compress(ctx) })
	}
	queue := make(chan chan *block, 2*workers) // of the units being read, in order
	g.Go(func() error { return p.readAll(ctx, g, units, queue) })
	g.Go(func() error {
		err := p.writeAll(ctx, queue, write)
		if err == nil {
			close(p.work) // nothing is read any more; after an error ctx ends the others
		}
		return err
	})
	return g.Wait()
}

// readAll starts the reading of each unit when there is room in the queue.
func (p *pipeline) readAll(ctx context.Context, g *errgroup.Group, units []unit, queue chan<- chan *block) error {
	defer close(queue)
	for i, u := range units {
		blocks := make(chan *block, 2*cap(queue))
		select {
		case queue <- blocks:
		case <-ctx.Done():
			return ctx.Err()
		}
		g.Go(func() error {
			r := &reader{pipeline: p, ctx: ctx, unit: i, blocks: blocks}
			if err := r.read(u); err != nil {
				return err // blocks stays open: the end of it would mean success
			}
			close(blocks)
			return nil
		})
	}
	return nil
}

// compress is one worker.
func (p *pipeline) compress(ctx context.Context) error {
	c, err := newCompressor(p.set)
	if err != nil {
		return err
	}
	for {
		select {
		case b, ok := <-p.work:
			if !ok {
				return nil
			}
			if err := p.compressOne(c, b); err != nil {
				return err
			}
			close(b.done)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pipeline) compressOne(c compressor, b *block) error {
	if allZero(b.raw) && b.size == 0 {
		return nil
	}
	buf := p.pool.Get().(*[]byte)
	out, ok, err := c.block((*buf)[:0], b.raw)
	if err != nil {
		return err
	}
	if !ok {
		p.pool.Put(buf)
		b.out, b.size = b.raw, uint32(len(b.raw))|stored
		return nil
	}
	p.recycle(b.raw)
	b.raw, b.out, b.size = out, out, uint32(len(out))
	return nil
}

func (p *pipeline) recycle(b []byte) {
	if cap(b) >= p.set.BlockSize {
		p.pool.Put(&b)
	}
}

func (p *pipeline) writeAll(ctx context.Context, queue <-chan chan *block, write func(int, *block) error) error {
	for i := 0; ; i++ {
		blocks, ok, err := receive(ctx, queue)
		if err != nil || !ok {
			return err
		}
		for {
			b, ok, err := receive(ctx, blocks)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if _, _, err := receive(ctx, b.done); err != nil {
				return err
			}
			if err := write(i, b); err != nil {
				return err
			}
			p.recycle(b.raw)
			p.budget.put()
		}
		p.budget.next()
	}
}

// receive is a receive that ends with ctx.
func receive[T any](ctx context.Context, c <-chan T) (v T, ok bool, err error) {
	select {
	case v, ok = <-c:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return v, ok, err
}
