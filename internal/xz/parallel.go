package xz

import (
	"context"
	"io"
	"runtime"
	"sync"
)

const (
	chunkSize   = 256 << 10 // bytes handed from a decoding goroutine at a time
	maxInFlight = 4         // blocks decoded at once at most
)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// NewParallelReader decompresses the .xz file of size bytes behind r, several
// blocks at a time when it has several (xz -T, and dpkg for large members,
// write such files). It holds up to GOMAXPROCS (at most 4) uncompressed
// blocks of at most 64 MiB each; anything else is decoded in order.
//
// The reader must be closed, and r must stay readable until then.
func NewParallelReader(r io.ReaderAt, size int64) (io.ReadCloser, error) {
	blocks, err := listBlocks(r, size)
	width := min(runtime.GOMAXPROCS(0), maxInFlight)
	if err != nil || len(blocks) == 0 {
		return NewReader(io.NewSectionReader(r, 0, size))
	}
	if len(blocks) < 2 || width < 2 || !small(blocks) {
		return &orderedReader{r: r, blocks: blocks}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &parallelReader{cancel: cancel, order: make(chan *job, width-1)}
	p.running.Add(1)
	go p.dispatch(ctx, r, blocks)
	return p, nil
}

func small(blocks []block) bool {
	for _, b := range blocks {
		if b.size > maxBlock {
			return false
		}
	}
	return true
}

// parallelReader gives out the blocks' contents in order. The order channel
// holds the jobs that run; its capacity is what bounds their number.
type parallelReader struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	order   chan *job
	current *job
	chunk   *[]byte // whole buffer of the chunk being read
	rest    []byte  // unread part of it
	err     error
}

// job is one block being decoded.
type job struct {
	out chan piece // closed at the block's end; has room for the whole block
	err error      // valid once out is closed
}

type piece struct {
	buf *[]byte
	n   int
}

func (p *parallelReader) dispatch(ctx context.Context, r io.ReaderAt, blocks []block) {
	defer p.running.Done()
	defer close(p.order)
	for _, b := range blocks {
		j := &job{out: make(chan piece, b.size/chunkSize+2)}
		select {
		case p.order <- j:
		case <-ctx.Done():
			return
		}
		p.running.Add(1)
		go func() {
			defer p.running.Done()
			defer close(j.out)
			j.err = j.decode(ctx, r, b)
		}()
	}
}

// decode decompresses one block.
func (j *job) decode(ctx context.Context, r io.ReaderAt, b block) error {
	in, release, err := open(r, b)
	if err != nil {
		return err
	}
	defer release()
	for {
		buf := chunks.Get().(*[]byte)
		n, err := io.ReadFull(in, *buf)
		if n > 0 {
			select {
			case j.out <- piece{buf, n}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// Read implements io.Reader.
func (p *parallelReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(p.rest) == 0 && p.err == nil {
		p.advance()
	}
	if p.err != nil {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// advance makes the next chunk current, or sets the error.
func (p *parallelReader) advance() {
	p.recycle()
	if p.current == nil {
		j, ok := <-p.order
		if !ok {
			p.err = io.EOF
			return
		}
		p.current = j
	}
	c, ok := <-p.current.out
	if !ok {
		p.err = p.current.err
		p.current = nil
		return
	}
	p.chunk, p.rest = c.buf, (*c.buf)[:c.n]
}

func (p *parallelReader) recycle() {
	if p.chunk != nil {
		chunks.Put(p.chunk)
		p.chunk, p.rest = nil, nil
	}
}

// Close stops the decoding and waits for it, so that the source may be
// closed afterwards. It may be called twice.
func (p *parallelReader) Close() error {
	p.cancel()
	p.running.Wait()
	p.recycle()
	if p.err == nil || p.err == io.EOF {
		p.err = ErrClosed
	}
	return nil
}
