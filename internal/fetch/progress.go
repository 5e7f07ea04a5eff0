package fetch

import (
	"sync"
	"time"
)

// Kind says what an Event reports.
type Kind int

// The kinds of events.
const (
	Started  Kind = iota // an item's download begins
	Moving               // bytes came in; at most ten a second
	Retrying             // an item's round failed, Err says why; it goes on
	Done                 // an item is complete and verified
	Failed               // an item is given up, Err says why
)

// Event is a moment of a Fetch, with the state of the whole of it.
type Event struct {
	Kind  Kind
	Item  string  // Name; empty for Moving
	Err   error   // for Retrying and Failed
	Bytes int64   // had so far, of all items, what was there before included
	Total int64   // of all items whose size is known
	Items int     // complete items
	Of    int     // all items
	Rate  float64 // bytes per second over the last seconds
}

// Left is the time that the rest will take at the present rate, or 0 when
// that cannot be said.
func (e Event) Left() time.Duration {
	if e.Rate < 1 || e.Total <= e.Bytes {
		return 0
	}
	return time.Duration(float64(e.Total-e.Bytes) / e.Rate * float64(time.Second))
}

const (
	eventPause = 100 * time.Millisecond
	rateWindow = 3 * time.Second // weight of the past in the rate
)

// reporter adds up and calls the caller's function, one call at a time.
type reporter struct {
	mu     sync.Mutex
	call   func(Event)
	state  Event
	last   time.Time // of the last rate sample
	since  int64     // bytes from the network since then
	closed bool
}

func newReporter(call func(Event), items []Item) *reporter {
	r := &reporter{call: call, last: time.Now()}
	r.state.Of = len(items)
	for _, it := range items {
		r.state.Total += max(it.Size, 0)
	}
	return r
}

// advance counts n bytes of an item; negative when they were dropped.
func (r *reporter) advance(_ *Item, n int64) {
	if r.call == nil || n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Bytes += n
	r.since += max(n, 0)
	if now := time.Now(); now.Sub(r.last) >= eventPause {
		r.sample(now)
		r.send(Event{Kind: Moving})
	}
}

// sample folds the bytes since the last sample into the rate.
func (r *reporter) sample(now time.Time) {
	span := now.Sub(r.last)
	rate := float64(r.since) / span.Seconds()
	weight := min(float64(span)/float64(rateWindow), 1)
	if r.state.Rate == 0 {
		weight = 1
	}
	r.state.Rate += (rate - r.state.Rate) * weight
	r.last, r.since = now, 0
}

func (r *reporter) event(kind Kind, it *Item, err error) {
	if r.call == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == Done {
		r.state.Items++
	}
	r.send(Event{Kind: kind, Item: it.Name, Err: err})
}

func (r *reporter) send(e Event) {
	if r.closed {
		return
	}
	s := r.state
	s.Kind, s.Item, s.Err = e.Kind, e.Item, e.Err
	r.call(s)
}

func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}
