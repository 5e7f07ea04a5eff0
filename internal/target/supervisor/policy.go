package supervisor

import (
	"errors"
	"time"
)

// restarts decides whether the machine starts once more.
func (s *supervisor) restarts(e Ending) bool {
	if s.stopping() {
		return false
	}
	if e.Reboot || e.asked {
		return true
	}
	switch s.Spec.Definition.Restart {
	case "always":
		return true
	case "on-failure":
		return e.State == Failed
	}
	return false
}

// backOff makes the pauses between starts longer as long as they are close
// together: a machine that cannot start must not keep the host busy.
type backOff struct {
	pause time.Duration
	last  time.Time
}

const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
	calm       = 2 * time.Minute // a run of this length forgets the past
)

func newBackOff() *backOff { return &backOff{last: time.Now()} }

// next is the pause before a start at the time now.
func (b *backOff) next(now time.Time) time.Duration {
	switch {
	case b.pause == 0 || now.Sub(b.last) > calm:
		b.pause = firstPause
	default:
		b.pause = min(2*b.pause, lastPause)
	}
	b.last = now
	return b.pause
}

// sleep waits before the next start; false when stop came first.
func (b *backOff) sleep(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	case <-time.After(b.next(time.Now())):
		return true
	}
}

func joinErrors(errs ...error) error { return errors.Join(errs...) }
