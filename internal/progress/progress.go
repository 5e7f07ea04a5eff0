// Package progress tells a person or a program how far long work has come:
// bars on a terminal, plain lines in a pipe, JSON events for programs.
//
// It writes nothing that is a result, and it decides nothing: a nil Reporter
// and a nil Step are fine and silent. All methods may be called at the same
// time.
package progress

import (
	"io"
	"sync"
	"time"
)

// Mode is how much is told, and in what form.
type Mode int

const (
	Plain   Mode = iota // steps as they end; bars on a terminal
	Quiet               // nothing
	Verbose             // steps as they begin and end, and the output of what they run
	JSON                // one event per line
)

// Reporter collects steps and shows them. Close it to leave a clean terminal.
type Reporter struct {
	mu     sync.Mutex
	out    view
	now    func() time.Time
	steps  []*Step // those that have not ended, oldest first
	stop   chan struct{}
	closed bool
}

// view is one way to show things. Its methods are called one at a time.
type view interface {
	begin(s *Step)
	end(s *Step)
	note(step, text string)
	log(text string)
	tick(steps []*Step) // about ten times a second while steps run
	close(steps []*Step)
}

// New makes a reporter that writes to w; isTTY tells whether w is a terminal.
func New(w io.Writer, mode Mode, isTTY bool) *Reporter {
	return newReporter(w, mode, isTTY, time.Now)
}

func newReporter(w io.Writer, mode Mode, isTTY bool, now func() time.Time) *Reporter {
	r := &Reporter{now: now}
	switch {
	case mode == Quiet:
		r.out = silent{}
	case mode == JSON:
		r.out = &events{w: w, now: now}
	case isTTY:
		r.out = newBars(w, mode == Verbose)
	default:
		r.out = &lines{w: w, verbose: mode == Verbose, now: now}
	}
	return r
}

// Step begins a named step. End it with Done.
func (r *Reporter) Step(name string) *Step {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Step{r: r, Name: name, began: r.now()}
	s.sampled = s.began
	r.steps = append(r.steps, s)
	r.out.begin(s)
	if r.stop == nil && !r.closed {
		r.stop = make(chan struct{})
		go r.run(r.stop)
	}
	return s
}

// Note tells something worth knowing that belongs to no step.
func (r *Reporter) Note(text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.note("", text)
}

// Log passes on the output of what a step runs; it is shown when verbose.
func (r *Reporter) Log(text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.log(text)
}

// Close stops showing progress and clears the bars. It may be called twice.
func (r *Reporter) Close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	if r.stop != nil {
		close(r.stop)
	}
	r.out.close(r.steps)
}

// run refreshes what is shown until Close.
func (r *Reporter) run(stop chan struct{}) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			r.tick()
		}
	}
}

func (r *Reporter) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, s := range r.steps {
		s.sample(r.now())
	}
	r.out.tick(r.steps)
}
