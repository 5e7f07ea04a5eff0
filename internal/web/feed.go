package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// feed gathers which machines changed and tells browsers of them together, a
// few times a second: a storm of events costs each browser one message.
type feed struct {
	s  *Server
	mu sync.Mutex
	to map[chan []byte]bool
}

const (
	tellEvery  = 100 * time.Millisecond
	maxRows    = 500 // in one message; more: the page asks for the list again
	maxClients = 256
)

func newFeed(ctx context.Context, s *Server) *feed {
	f := &feed{s: s, to: map[chan []byte]bool{}}
	changes := s.fleet.Watch(ctx)
	go f.run(changes)
	return f
}

func (f *feed) run(changes <-chan fleet.Change) {
	dirty, gone, all := map[string]bool{}, map[string]bool{}, false
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case c, ok := <-changes:
			if !ok {
				return
			}
			all = all || c.Lost
			f.s.stats.count(c)
			switch {
			case c.Event != nil && c.Event.Key() != fleet.ServerKey:
				dirty[c.Event.Key()] = true
			case c.Record != nil && c.Deleted:
				gone[c.Record.Key] = true
			case c.Record != nil:
				dirty[c.Record.Key] = true
			}
		case <-tick.C:
			if len(dirty)+len(gone) > 0 || all {
				f.tell(dirty, gone, all || len(dirty) > maxRows)
				dirty, gone, all = map[string]bool{}, map[string]bool{}, false
			}
		}
	}
}

func (f *feed) tell(dirty, gone map[string]bool, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.to) == 0 {
		return
	}
	message := map[string]any{"reload": all}
	if !all {
		now := f.s.o.Now()
		rows, removed := []Row{}, []string{}
		for id := range dirty {
			if n, ok := f.s.fleet.Node(id); ok {
				rows = append(rows, f.s.row(&n, now))
			}
			if _, ok := f.s.fleet.Node(id); !ok || gone[id] {
				removed = append(removed, id)
			}
		}
		for id := range gone {
			removed = append(removed, id)
		}
		message["machines"], message["gone"] = rows, removed
	}
	body, err := json.Marshal(message)
	if err != nil {
		return
	}
	for ch := range f.to {
		select {
		case ch <- body:
		default: // a browser that does not read is let go; it comes back and asks for all
			delete(f.to, ch)
			close(ch)
		}
	}
}

func (f *feed) serve(w http.ResponseWriter, r *http.Request) {
	ch := make(chan []byte, 64)
	f.mu.Lock()
	full := len(f.to) >= maxClients
	if !full {
		f.to[ch] = true
	}
	f.mu.Unlock()
	if full {
		w.Header().Set("Retry-After", "10")
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("%d browsers watch already", maxClients))
		return
	}
	defer func() {
		f.mu.Lock()
		delete(f.to, ch)
		f.mu.Unlock()
	}()
	out := http.NewResponseController(w)
	out.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "retry: 2000\n\nevent: hello\ndata: {}\n\n")
	if out.Flush() != nil {
		return
	}
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	for {
		select {
		case body, ok := <-ch:
			if !ok {
				return
			}
			out.SetWriteDeadline(time.Now().Add(30 * time.Second))
			if _, err := fmt.Fprintf(w, "data: %s\n\n", body); err != nil {
				return
			}
		case <-alive.C:
			out.SetWriteDeadline(time.Now().Add(30 * time.Second))
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
		if out.Flush() != nil {
			return
		}
	}
}
