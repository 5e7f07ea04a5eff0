package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long a cancelled worker may clean up before it is killed.
const grace = 5 * time.Second

// WorkerError is what a worker's body returned, as text.
type WorkerError struct {
	Name string // the registered name
	Text string
}

func (e *WorkerError) Error() string { return e.Text }

// Proc is the parent's side of a running worker.
type Proc struct {
	name   string
	cmd    *exec.Cmd
	stream *os.File
	stderr *tail
	events *queue
	sendMu sync.Mutex
	done   chan struct{}
	err    error
}

// PID is the worker's process id as the parent sees it.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Send passes v to the worker's Recv. It may be called in parallel.
func (p *Proc) Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a message for worker %s: %w", p.name, err)
	}
	p.sendMu.Lock()
	defer p.sendMu.Unlock()
	if _, err := p.stream.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("sending to worker %s: %w", p.name, err)
	}
	return nil
}

// CloseSend tells the worker that no more messages come: its Recv gives io.EOF.
func (p *Proc) CloseSend() error {
	conn, err := p.stream.SyscallConn()
	if err != nil {
		return err
	}
	var shut error
	if err := conn.Control(func(fd uintptr) { shut = unix.Shutdown(int(fd), unix.SHUT_WR) }); err != nil {
		return err
	}
	return shut
}

// Events gives what the worker emits and is closed when it ends. Events wait in
// memory until they are read, so a parent that does not care need not read them.
func (p *Proc) Events() <-chan json.RawMessage { return p.events.out }

// Wait waits for the end of the worker and of its whole set-up. It returns nil,
// a *WorkerError with the text of the body's error, the context's error, or an
// error that says how the process died. It may be called more than once.
func (p *Proc) Wait() error {
	<-p.done
	return p.err
}

// Kill ends the worker at once, with everything that runs under it.
func (p *Proc) Kill() error { return p.cmd.Process.Kill() }

// read collects frames until the worker closes the stream.
func (p *Proc) read() (last *frame) {
	dec := json.NewDecoder(p.stream)
	for {
		var f frame
		if dec.Decode(&f) != nil {
			return last
		}
		if f.Event != nil {
			p.events.put(f.Event)
		}
		if f.Done {
			last = &f
		}
	}
}

// outcome turns the last frame and the process state into Wait's error.
func (p *Proc) outcome(ctx context.Context, last *frame, waitErr error) error {
	switch {
	case last != nil && last.Error == "":
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("worker %s: %w", p.name, context.Cause(ctx))
	case last != nil:
		return &WorkerError{Name: p.name, Text: last.Error}
	}
	text := "ended without a result"
	if waitErr != nil {
		text = "died: " + waitErr.Error()
	}
	if s := strings.TrimSpace(p.stderr.String()); s != "" {
		text += "\n" + s
	}
	return fmt.Errorf("worker %s %s", p.name, text)
}

// queue is an unbounded channel of events.
type queue struct {
	out  chan json.RawMessage
	mu   sync.Mutex
	wait []json.RawMessage
	more chan struct{}
	end  bool
}

func newQueue() *queue {
	q := &queue{out: make(chan json.RawMessage), more: make(chan struct{}, 1)}
	go q.pump()
	return q
}

func (q *queue) put(m json.RawMessage) { q.change(func() { q.wait = append(q.wait, m) }) }
func (q *queue) close()                { q.change(func() { q.end = true }) }

func (q *queue) change(f func()) {
	q.mu.Lock()
	f()
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) pump() {
	defer close(q.out)
	for range q.more {
		q.mu.Lock()
		batch, end := q.wait, q.end
		q.wait = nil
		q.mu.Unlock()
		for _, m := range batch {
			q.out <- m
		}
		if end {
			return
		}
	}
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
