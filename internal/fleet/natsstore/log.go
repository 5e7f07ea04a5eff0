package natsstore

import (
	"fmt"
	"sync"
)

// serverLog keeps the last complaints of the server; it prints nothing.
type serverLog struct {
	mu    sync.Mutex
	lines []string
}

const maxLines = 32

func (l *serverLog) add(format string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
	if over := len(l.lines) - maxLines; over > 0 {
		l.lines = append([]string(nil), l.lines[over:]...)
	}
}

func (l *serverLog) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// explain adds the last complaint to an error.
func (l *serverLog) explain(err error) error {
	if lines := l.list(); len(lines) > 0 {
		return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return err
}

func (l *serverLog) Noticef(string, ...any)         {}
func (l *serverLog) Debugf(string, ...any)          {}
func (l *serverLog) Tracef(string, ...any)          {}
func (l *serverLog) Warnf(format string, v ...any)  { l.add(format, v) }
func (l *serverLog) Errorf(format string, v ...any) { l.add(format, v) }
func (l *serverLog) Fatalf(format string, v ...any) { l.add(format, v) }
