package fleet

import (
	"context"
	"sync"
)

// watchBuffer is how many changes a watcher may lag behind.
const watchBuffer = 4096

// Watchers tells watchers of changes, and waits for none of them. The zero value
// is ready.
type Watchers struct {
	mu       sync.Mutex
	watchers map[*watcher]bool
	closed   bool
}

type watcher struct {
	ch   chan Change
	lost bool
}

// Watch returns the channel of another watcher, until ctx ends.
func (h *Watchers) Watch(ctx context.Context) <-chan Change {
	w := &watcher{ch: make(chan Change, watchBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(w.ch)
		return w.ch
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]bool{}
	}
	h.watchers[w] = true
	context.AfterFunc(ctx, func() { h.drop(w) })
	return w.ch
}

func (h *Watchers) drop(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[w] {
		delete(h.watchers, w)
		close(w.ch)
	}
}

// Tell passes changes on.
func (h *Watchers) Tell(changes ...Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		for _, c := range changes {
			w.send(c)
		}
	}
}

// send drops what does not fit, and says so with the next that does.
func (w *watcher) send(c Change) {
	c.Lost = w.lost
	select {
	case w.ch <- c:
		w.lost = false
	default:
		w.lost = true
	}
}

// Close ends all channels.
func (h *Watchers) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.watchers {
		close(w.ch)
	}
	h.watchers = nil
}
