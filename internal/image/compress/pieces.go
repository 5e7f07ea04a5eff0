package compress

import "io"

// pieces compresses pieces of fixed size in parallel and hands the results
// over in order, so that the output does not depend on how many work at it.
type pieces struct {
	work   func(before, piece []byte) ([]byte, error)
	buf    []byte // the piece being filled; its capacity is the size of one
	before []byte // the end of the piece before
	keep   int    // how much of a piece the next one gets as before
	queue  chan chan result
	done   chan error
	closed bool
}

type result struct {
	data []byte
	err  error
}

// newPieces starts with size bytes a piece, atOnce of them in work. work
// compresses one, and may refer to the last keep bytes of the piece before;
// emit gets the results in order.
func newPieces(size, keep, atOnce int, work func(before, piece []byte) ([]byte, error), emit func([]byte) error) *pieces {
	p := &pieces{work: work, keep: keep, buf: make([]byte, 0, size),
		queue: make(chan chan result, atOnce-1), done: make(chan error, 1)}
	go func() { p.done <- p.drain(emit) }()
	return p
}

// drain hands over what is finished. After an error it only empties the queue.
func (p *pieces) drain(emit func([]byte) error) (err error) {
	for piece := range p.queue {
		r := <-piece
		if err == nil {
			err = r.err
		}
		if err == nil {
			err = emit(r.data)
		}
	}
	return err
}

func (p *pieces) Write(b []byte) (n int, err error) {
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	for len(b) > 0 {
		m := min(len(b), cap(p.buf)-len(p.buf))
		p.buf = append(p.buf, b[:m]...)
		b, n = b[m:], n+m
		if len(p.buf) == cap(p.buf) {
			p.send()
		}
	}
	return n, nil
}

func (p *pieces) send() {
	before, piece, out := p.before, p.buf, make(chan result, 1)
	p.queue <- out
	go func() {
		data, err := p.work(before, piece)
		out <- result{data, err}
	}()
	p.before = piece[max(0, len(piece)-p.keep):]
	p.buf = make([]byte, 0, cap(piece))
}

// Close sends what is left, if anything, and waits. Errors of earlier pieces
// come out here. The second call does nothing.
func (p *pieces) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	if len(p.buf) > 0 {
		p.send()
	}
	close(p.queue)
	return <-p.done
}
