package qmp

import "sync"

// maxWaiting bounds the events that wait for a slow reader.
const maxWaiting = 4096

// queue keeps events for a reader who may be slow or absent: the connection
// must be read in any case.
type queue struct {
	out  chan Event
	mu   sync.Mutex
	list []Event
	wake chan struct{}
	done bool
	quit chan struct{} // closed when nobody waits any more
}

func newQueue() *queue {
	q := &queue{out: make(chan Event, 64), wake: make(chan struct{}, 1), quit: make(chan struct{})}
	go q.run()
	return q
}

func (q *queue) put(e Event) {
	q.mu.Lock()
	if len(q.list) >= maxWaiting {
		q.list = q.list[1:]
	}
	q.list = append(q.list, e)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) close() {
	q.mu.Lock()
	q.done = true
	q.mu.Unlock()
	close(q.quit)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run moves events to the channel. After the end of the connection it gives
// what fits, so that it never waits for a reader who has gone.
func (q *queue) run() {
	defer close(q.out)
	for {
		q.mu.Lock()
		list, done := q.list, q.done
		q.list = nil
		q.mu.Unlock()
		for _, e := range list {
			if !q.hand(e, done) {
				return
			}
		}
		if len(list) == 0 {
			if done {
				return
			}
			<-q.wake
		}
	}
}

func (q *queue) hand(e Event, done bool) bool {
	if !done {
		select {
		case q.out <- e:
			return true
		case <-q.quit:
		}
	}
	select {
	case q.out <- e:
		return true
	default:
		return false
	}
}
