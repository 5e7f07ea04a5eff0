package progress

import (
	"slices"
	"time"
)

// Step is one piece of long work. Its amounts are bytes.
type Step struct {
	Name string

	r           *Reporter
	began       time.Time
	took        time.Duration
	done, total int64
	text        string
	err         error
	ended       bool

	rate     float64 // bytes per second, smoothed
	sampled  time.Time
	sampleAt int64
	shown    time.Time // when a view last told of it
}

// Total sets how many bytes there are to do, when that is known.
func (s *Step) Total(n int64) { s.change(func() { s.total = n }) }

// Add tells that n more bytes are done.
func (s *Step) Add(n int64) { s.change(func() { s.done += n }) }

// Note tells what the step is at now, for example a package's name.
func (s *Step) Note(text string) {
	s.change(func() {
		s.text = text
		s.r.out.note(s.Name, text)
	})
}

// Done ends the step, with the error that ended it or nil. Only the first call
// counts.
func (s *Step) Done(err error) {
	s.change(func() {
		if s.ended {
			return
		}
		s.ended, s.err, s.took = true, err, s.r.now().Sub(s.began)
		s.r.steps = slices.DeleteFunc(s.r.steps, func(o *Step) bool { return o == s })
		s.r.out.end(s)
	})
}

func (s *Step) change(do func()) {
	if s == nil {
		return
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	do()
}

// sample renews the rate: the bytes since the last look, smoothed over about
// two seconds, so that the time left neither jumps nor lags.
func (s *Step) sample(now time.Time) {
	const smooth = 2 * time.Second
	span := now.Sub(s.sampled)
	if span < 200*time.Millisecond {
		return
	}
	rate := float64(s.done-s.sampleAt) / span.Seconds()
	weight := min(1, span.Seconds()/smooth.Seconds())
	if s.sampleAt == 0 {
		weight = 1
	}
	s.rate += (rate - s.rate) * weight
	s.sampled, s.sampleAt = now, s.done
}

// left estimates the time that remains; zero if it cannot be known.
func (s *Step) left() time.Duration {
	if s.total <= 0 || s.rate < 1 || s.done >= s.total {
		return 0
	}
	return time.Duration(float64(s.total-s.done) / s.rate * float64(time.Second))
}
