package vm

import (
	"slices"
	"time"

	"slipway/internal/target/supervisor"
)

// Fetched is a Run of a machine that boots over the network. Who serves it
// tells what was seen of it.
type Fetched interface {
	supervisor.Run
	supervisor.Staged
	// Evidence notes that a stage has ended at that moment, and with it those
	// before it. It may be told more than once, and in any order.
	Evidence(stage string, at time.Time)
	// Refused notes that the machine gets no further.
	Refused(reason error)
	// Extend gives the present stage its whole time again: something moves.
	Extend()
}

var _ Fetched = (*run)(nil)

// Evidence notes that a stage has ended.
func (w *watcher) Evidence(stage string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed(stage, at)
}

// passed is Evidence under the lock.
func (w *watcher) passed(stage string, at time.Time) {
	i := slices.Index(w.order, stage)
	if root := slices.Index(w.order, "root"); stage == "network" && root > 0 && w.told[w.order[root-1]] {
		w.tell(stage, at)
	}
	if i < w.at || !w.fetched {
		return
	}
	for _, name := range w.order[w.at : i+1] {
		w.tell(name, at)
	}
	w.at, w.since = i+1, at
}

// Refused notes that nothing more will come.
func (w *watcher) Refused(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(reason)
}

// Extend begins the present stage's time anew.
func (w *watcher) Extend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = w.now()
}
