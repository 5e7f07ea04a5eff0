package probe

import (
	"sync"
	"time"
)

// Stages records the named steps on the way up (firmware, loader, kernel, init,
// network, login, service ...). The zero value is ready, and all methods may be
// called at the same time.
type Stages struct {
	// Report, if set before the first stage, is called as each one ends.
	Report func(Result)

	mu   sync.Mutex
	list []*stage
}

type stage struct {
	result Result
	began  time.Time
	ended  bool
}

// Begin starts a stage and returns the function that ends it, with the error
// that ended it or nil. Only the first call counts. A stage that is never
// ended is reported as one that hangs.
func (s *Stages) Begin(name string) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &stage{result: Result{Name: name}, began: time.Now()}
	s.list = append(s.list, st)
	return func(err error) { s.end(st, err) }
}

// Len is how many stages there are.
func (s *Stages) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// Truncate forgets all stages but the first n, because an attempt does not count.
func (s *Stages) Truncate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = s.list[:min(n, len(s.list))]
}

// Add records a stage that was timed elsewhere.
func (s *Stages) Add(name string, took time.Duration, err error) {
	s.mu.Lock()
	st := &stage{result: Result{Name: name}, began: time.Now().Add(-took)}
	s.list = append(s.list, st)
	s.mu.Unlock()
	s.end(st, err)
}

func (s *Stages) end(st *stage, err error) {
	s.mu.Lock()
	if st.ended {
		s.mu.Unlock()
		return
	}
	st.ended = true
	st.result.Seconds, st.result.OK = time.Since(st.began).Seconds(), err == nil
	if err != nil {
		st.result.Reason = err.Error()
	}
	result, report := st.result, s.Report
	s.mu.Unlock()
	if report != nil {
		report(result)
	}
}

// Results lists the stages in the order in which they began. One that has not
// ended yet has failed: it is where the machine hangs.
func (s *Stages) Results() []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]Result, len(s.list))
	for i, st := range s.list {
		results[i] = st.result
		if !st.ended {
			spent := time.Since(st.began)
			results[i].Seconds = spent.Seconds()
			results[i].Reason = "it had not ended after " + round(spent).String()
		}
	}
	return results
}
