package supervisor

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"slipway/internal/guest/wire"
)

// consoleLog keeps what the machine's console shows, in a file that is rotated
// once (console.log.1), and passes it on to those who watch.
type consoleLog struct {
	path string
	max  int64
	own  func(string) error

	mu       sync.Mutex
	file     *os.File
	size     int64
	input    io.Writer // to the console of the present run
	watchers map[chan []byte]bool
	active   int // watchers that have not left yet, closed ones too
}

func openConsoleLog(dir string, size int64, own func(string) error) (*consoleLog, error) {
	c := &consoleLog{path: filepath.Join(dir, consoleFile), max: size, own: own, watchers: map[chan []byte]bool{}}
	return c, c.open()
}

func (c *consoleLog) open() error {
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the console log: %w", err)
	}
	st, err := f.Stat()
	if err == nil {
		err = c.own(c.path)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the console log: %w", err)
	}
	c.file, c.size = f, st.Size()
	return nil
}

// follow takes in the console of one run of the machine.
func (c *consoleLog) follow(out io.Reader, in io.Writer) {
	c.mu.Lock()
	c.input = in
	c.mu.Unlock()
	io.Copy(c, out)
}

// followAgent is follow where the agent passes the console on.
func (c *consoleLog) followAgent(session *wire.Session) {
	if st, err := session.Open(wire.Request{Op: "console"}); err == nil {
		c.follow(st.Reader(wire.Output), st.Writer(wire.Input))
	}
}

// Write appends to the log. A full disk must not stop the machine, so errors
// of the file are not told.
func (c *consoleLog) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+int64(len(p)) > c.max && c.size > 0 {
		c.file.Close()
		if os.Rename(c.path, c.path+".1") != nil || c.open() != nil {
			return len(p), nil
		}
	}
	n, _ := c.file.Write(p)
	c.size += int64(n)
	for w := range c.watchers {
		select {
		case w <- append([]byte(nil), p...):
		default: // a watcher that does not keep up misses something
		}
	}
	return len(p), nil
}

func (c *consoleLog) watch() chan []byte {
	w := make(chan []byte, 256)
	c.mu.Lock()
	c.watchers[w] = true
	c.active++
	c.mu.Unlock()
	return w
}

func (c *consoleLog) unwatch(w chan []byte) {
	c.mu.Lock()
	delete(c.watchers, w)
	c.active--
	c.mu.Unlock()
}

// close lets those who watch read to the end.
func (c *consoleLog) close() {
	c.mu.Lock()
	for w := range c.watchers {
		close(w)
	}
	c.watchers = map[chan []byte]bool{}
	c.mu.Unlock()
	for range 50 {
		c.mu.Lock()
		left := c.active
		c.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// attach connects a client with the console until it leaves.
func (c *consoleLog) attach(st *wire.Stream) wire.Reply {
	w := c.watch()
	defer c.unwatch(w)
	go func() {
		buf := make([]byte, 4096)
		in := st.Reader(wire.Input)
		for {
			n, err := in.Read(buf)
			c.mu.Lock()
			to := c.input
			c.mu.Unlock()
			if n > 0 && to != nil {
				to.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return pump(st, w)
}

// pump sends what a watcher gets until the client leaves.
func pump(st *wire.Stream, w chan []byte) wire.Reply {
	out := st.Writer(wire.Output)
	for {
		select {
		case p, more := <-w:
			if !more {
				return wire.Reply{}
			}
			if _, err := out.Write(p); err != nil {
				return wire.Reply{}
			}
		case <-st.Over():
			return wire.Reply{}
		}
	}
}

// tail gives the last lines of the log, as a terminal without attributes
// would show them.
func (c *consoleLog) tail(lines int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var data []byte
	for _, name := range []string{c.path + ".1", c.path} {
		part, err := os.ReadFile(name)
		if err == nil {
			data = append(data, part...)
		}
	}
	return lastLines(data, lines)
}
