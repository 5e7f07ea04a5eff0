package build

import (
	"sync"

	"slipway/internal/store"
)

// readAhead opens packs that were in the store before, and hashes their
// contents, in the order in which they will be wanted: beside the scripts and
// the writing of files, which take one processor at the most.
type readAhead struct {
	store *store.Store
	mu    sync.Mutex
	queue []string
	open  map[string]*store.Pack // nil: somebody else has opened it, or it is damaged
	room  chan struct{}
	busy  bool
}

// aheadPacks bounds the descriptors that are held.
const aheadPacks = 32

func newReadAhead(s *store.Store) *readAhead {
	return &readAhead{store: s, open: map[string]*store.Pack{}, room: make(chan struct{}, aheadPacks)}
}

// add queues a pack.
func (r *readAhead) add(sha256 string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, sha256)
	if !r.busy {
		r.busy = true
		go r.work()
	}
}

func (r *readAhead) work() {
	for {
		r.room <- struct{}{}
		next, ok := r.next()
		if !ok {
			<-r.room
			return
		}
		p, err := r.store.OpenPack(next)
		if err != nil { // whoever wants it will hear it
			<-r.room
			continue
		}
		if !r.offer(next, p) {
			p.Close()
			<-r.room
			continue
		}
		// A damaged content is found again where it is used, and an error is
		// also what a pack gives that was used and closed meanwhile.
		_ = p.Verify()
	}
}

// next is the first pack in the queue that nobody has taken yet.
func (r *readAhead) next() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 {
		next := r.queue[0]
		r.queue = r.queue[1:]
		if _, met := r.open[next]; !met {
			return next, true
		}
	}
	r.busy = false
	return "", false
}

// offer puts an open pack where take finds it, unless it came too late.
func (r *readAhead) offer(sha256 string, p *store.Pack) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, met := r.open[sha256]; met {
		return false
	}
	r.open[sha256] = p
	return true
}

// take gives a pack that is open already, to be closed by the caller; nil if
// there is none. It is not opened ahead after that.
func (r *readAhead) take(sha256 string) *store.Pack {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.open[sha256]
	r.open[sha256] = nil
	if p != nil {
		<-r.room
	}
	return p
}
