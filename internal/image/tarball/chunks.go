package tarball

import (
	"io"
	"runtime"
)

// chunks compresses pieces of fixed size in parallel and writes them in
// order, so that the output does not depend on how many work at it.
type chunks struct {
	w        io.Writer
	compress func([]byte) ([]byte, error)
	buf      []byte // the piece being filled; its capacity is the size of one
	wrote    bool
	queue    chan chan chunk // in order; its length bounds what runs at once
	done     chan error
	closed   bool
}

type chunk struct {
	data []byte
	err  error
}

func newChunks(w io.Writer, size int, compress func([]byte) ([]byte, error)) *chunks {
	c := &chunks{w: w, compress: compress, buf: make([]byte, 0, size),
		queue: make(chan chan chunk, runtime.GOMAXPROCS(0)-1), done: make(chan error, 1)}
	go func() { c.done <- c.drain() }()
	return c
}

// drain writes the finished pieces. After an error it only empties the queue.
func (c *chunks) drain() (err error) {
	for piece := range c.queue {
		p := <-piece
		if err == nil {
			err = p.err
		}
		if err == nil {
			_, err = c.w.Write(p.data)
		}
	}
	return err
}

func (c *chunks) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		m := min(len(b), cap(c.buf)-len(c.buf))
		c.buf = append(c.buf, b[:m]...)
		b, n = b[m:], n+m
		if len(c.buf) == cap(c.buf) {
			c.send()
		}
	}
	return n, nil
}

func (c *chunks) send() {
	src, out := c.buf, make(chan chunk, 1)
	c.queue <- out
	go func() {
		data, err := c.compress(src)
		out <- chunk{data, err}
	}()
	c.buf, c.wrote = make([]byte, 0, cap(src)), true
}

// Close writes the rest and waits for everything. Errors of earlier writes
// come out here.
func (c *chunks) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if len(c.buf) > 0 || !c.wrote {
		c.send()
	}
	close(c.queue)
	return <-c.done
}
