package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// console is where people read what happens: all consoles of the kernel, and
// the server.
type console struct {
	mu    sync.Mutex
	out   []*os.File
	lines []string // not yet shipped
	all   []string
	srv   *server
}

// kept is how many lines are kept for the server and for who logs in.
const kept = 2000

func newConsole() *console { return &console{out: []*os.File{os.Stderr}} }

// open takes every console of the kernel, of which /dev/console is the last.
func (c *console) open() {
	var out []*os.File
	for _, path := range consoles() {
		if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			out = append(out, f)
		}
	}
	if len(out) > 0 {
		c.out = out
	}
}

// say writes a line everywhere.
func (c *console) say(format string, args ...any) {
	line := "slipway: " + fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.out {
		fmt.Fprint(f, line+"\r\n")
	}
	c.keep(line)
}

func (c *console) keep(line string) {
	for _, list := range []*[]string{&c.lines, &c.all} {
		if *list = append(*list, line); len(*list) > kept {
			*list = (*list)[len(*list)-kept:]
		}
	}
}

// text is all that was said.
func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.all, "\n") + "\n"
}

// ship sends what was said, and what the kernel warns of, to the server.
func (c *console) ship(ctx context.Context, srv *server) {
	c.srv = srv
	go c.follow()
	go func() {
		for ctx.Err() == nil {
			c.flush()
			time.Sleep(2 * time.Second)
		}
	}()
}

// flush sends what was not sent yet; what cannot be sent stays.
func (c *console) flush() {
	c.mu.Lock()
	batch := c.lines
	c.lines = nil
	c.mu.Unlock()
	if len(batch) == 0 || c.srv == nil {
		return
	}
	if _, err := c.srv.post(context.Background(), "log", []byte(strings.Join(batch, "\n")+"\n")); err != nil {
		c.mu.Lock()
		c.lines = append(batch, c.lines...)
		c.lines = c.lines[max(0, len(c.lines)-kept):]
		c.mu.Unlock()
	}
}

// follow reads the kernel's log from now on: warnings and worse.
func (c *console) follow() {
	f, err := os.Open("/dev/kmsg")
	if err != nil {
		return
	}
	defer f.Close()
	buf := make([]byte, 8<<10)
	for {
		n, err := f.Read(buf) // one record, "6,339,5140900,-;text\n more"
		if err != nil {
			if strings.Contains(err.Error(), "broken pipe") { // some were lost
				continue
			}
			return
		}
		head, rest, ok := bytes.Cut(buf[:n], []byte(";"))
		level := 0
		fmt.Sscanf(string(head), "%d,", &level)
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if ok && level&7 <= 4 && level>>3 == 0 {
			c.mu.Lock()
			c.keep("kernel: " + string(line))
			c.mu.Unlock()
		}
	}
}
