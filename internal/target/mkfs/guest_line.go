package mkfs

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// line is the port, which two speak on.
type line struct {
	mu   sync.Mutex
	w    io.Writer
	over bool
}

func (l *line) say(k kind, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	return say(l.w, k, body)
}

// end says the last word.
func (l *line) end() error {
	err := l.say(sayDone, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return err
}

// beat tells the host how far the work is, as long as it goes on.
func (l *line) beat(done *atomic.Int64) {
	for last := int64(0); ; time.Sleep(beat) {
		if n := done.Load(); n != last {
			last = n
			l.say(sayAlive, binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
	}
}

const beat = time.Second
