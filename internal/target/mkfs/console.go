package mkfs

import (
	"bytes"
	"strings"
	"sync"
)

// lastLines keeps the end of what the console shows.
type lastLines struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if over := len(l.buf) - 4<<10; over > 0 {
		l.buf = append(l.buf[:0], l.buf[over:]...)
	}
	return len(b), nil
}

// tail is the last lines for a message; empty when there are none.
func (l *lastLines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(bytes.ReplaceAll(l.buf, []byte("\r"), nil))), "\n")
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	if text := strings.Join(lines, "\n"); text != "" {
		return "; the last lines of its console:\n" + text
	}
	return ""
}
