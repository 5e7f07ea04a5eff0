package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// ErrClosed is wrapped by errors of commands after QEMU has gone.
var ErrClosed = errors.New("QEMU has closed the connection")

// Version is QEMU's own.
type Version struct{ Major, Minor, Micro int }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro) }

// Client is one connection. It is safe for concurrent use.
type Client struct {
	Version Version

	conn   net.Conn
	lines  *lines
	events *queue

	mu      sync.Mutex // of what follows, and of writing
	last    uint64
	waiting map[uint64]chan *message
	broken  error
}

// Open waits for the greeting and leaves the negotiation behind. It owns conn.
func Open(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{conn: conn, lines: newLines(conn), events: newQueue(), waiting: map[uint64]chan *message{}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	m, err := c.lines.next()
	stop()
	if err == nil && m.Greeting == nil {
		err = errors.New("it does not begin with a greeting")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting QEMU: %w", errors.Join(ctx.Err(), err))
	}
	v := m.Greeting.Version.QEMU
	c.Version = Version{v.Major, v.Minor, v.Micro}
	go c.read()
	if err := c.Run(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Events gives every event in order, and is closed with the connection. What
// is not taken yet waits in memory, the oldest of very many are dropped.
func (c *Client) Events() <-chan Event { return c.events.out }

// Close ends the connection; QEMU goes on.
func (c *Client) Close() error { return c.conn.Close() }

// Run runs a command and waits for its answer, which is decoded into result
// unless that is nil. arguments is nil or encodes as a JSON object. QEMU's
// refusal is an *Error.
func (c *Client) Run(ctx context.Context, command string, arguments, result any) error {
	answer, err := c.send(ctx, command, arguments)
	if err != nil {
		return err
	}
	select {
	case m, ok := <-answer.c:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", command, c.why())
		case m.Error != nil:
			return &Error{Command: command, Class: m.Error.Class, Desc: m.Error.Desc}
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(m.Return, result); err != nil {
			return fmt.Errorf("reading QEMU's answer to %s: %w", command, err)
		}
		return nil
	case <-ctx.Done():
		c.forget(answer.id)
		return fmt.Errorf("%s: QEMU does not answer: %w", command, ctx.Err())
	}
}

type pending struct {
	id uint64
	c  chan *message
}

func (c *Client) send(ctx context.Context, command string, arguments any) (pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return pending{}, fmt.Errorf("%s: %w", command, c.broken)
	}
	c.last++
	p := pending{c.last, make(chan *message, 1)}
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, arguments, p.id})
	if err != nil {
		return p, fmt.Errorf("%s: %w", command, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.conn.SetWriteDeadline(deadline)
	}
	c.waiting[p.id] = p.c
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		delete(c.waiting, p.id)
		return p, fmt.Errorf("%s: %w: %w", command, ErrClosed, err)
	}
	return p, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *Client) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// read hands out answers and events until the connection ends.
func (c *Client) read() {
	var err error
	for err == nil {
		var m *message
		if m, err = c.lines.next(); err == nil {
			c.dispatch(m)
		}
	}
	c.mu.Lock()
	c.broken = ErrClosed
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		c.broken = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
	c.mu.Unlock()
	c.conn.Close()
	c.events.close()
}

func (c *Client) dispatch(m *message) {
	if m.Event != "" {
		c.events.put(m.event())
		return
	}
	if m.ID == nil {
		return // the answer to nothing that was asked
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.waiting[*m.ID]; answer != nil {
		delete(c.waiting, *m.ID)
		answer <- m
	}
}
