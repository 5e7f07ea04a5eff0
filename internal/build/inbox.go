package build

import (
	"context"
	"errors"
	"sync"

	"slipway/internal/sandbox"
	"slipway/internal/store"
)

// inbox hears from the caller which packages are in the store, so that the
// worker can begin with the first ones while the rest are still on their way.
type inbox struct {
	store *store.Store
	mu    sync.Mutex
	have  map[string]supplied
	news  chan struct{} // closed and replaced at every message
	err   error
	ahead *readAhead
}

func newInbox(w *sandbox.Worker, s *store.Store) *inbox {
	in := &inbox{store: s, have: map[string]supplied{}, news: make(chan struct{}), ahead: newReadAhead(s)}
	go in.listen(w)
	return in
}

func (in *inbox) listen(w *sandbox.Worker) {
	for {
		var m supplied
		err := w.Recv(&m)
		if err == nil && m.Failed != "" {
			err = errors.New(m.Failed)
		}
		in.mu.Lock()
		if err != nil {
			in.err = err
		} else {
			in.have[m.SHA256] = m
			if !m.Fresh {
				in.ahead.add(m.SHA256)
			}
		}
		close(in.news)
		in.news = make(chan struct{})
		in.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// pack waits until a package is in the store and opens it.
func (in *inbox) pack(ctx context.Context, sha256 string) (*store.Pack, error) {
	for {
		in.mu.Lock()
		m, have := in.have[sha256]
		news, err := in.news, in.err
		in.mu.Unlock()
		if have {
			return in.open(m)
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open opens a pack. What this run has written is not hashed once more.
func (in *inbox) open(m supplied) (*store.Pack, error) {
	if p := in.ahead.take(m.SHA256); p != nil {
		return p, nil
	}
	p, err := in.store.OpenPack(m.SHA256)
	if err == nil && m.Fresh {
		p.Trust()
	}
	return p, err
}
