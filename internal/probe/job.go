package probe

import (
	"fmt"
	"time"

	"slipway/internal/machine"
)

// job is one probe of a run.
type job struct {
	name   string
	wait   string // the name in "after"
	within time.Duration
	every  time.Duration
	fails  bool
	check  check
	fault  string // why it cannot be tried at all

	after  *job   // must have held
	before []*job // must have ended

	boots   int             // of a reboot probe
	earlier []machine.Probe // what must hold again after each of its boots

	done   chan struct{}
	result Result // set before done is closed
}

func newJob(p *machine.Probe) *job {
	j := &job{
		name: Name(p), wait: p.After, fails: p.Fails, done: make(chan struct{}),
		within: p.Within, every: p.Every,
	}
	if j.within <= 0 {
		j.within = DefaultWithin
		if p.Reboot > 0 {
			j.within = time.Duration(p.Reboot) * machine.RebootWithin
		}
	}
	if j.every <= 0 {
		j.every = DefaultEvery
	}
	k := kindOf(p)
	if k == nil {
		j.fault = "not tried: it has no kind (http, tcp, command ...)"
		return j
	}
	j.check, j.boots = k.make(p), p.Reboot
	return j
}

// waits tells whether a probe means something only when the machine is up.
func (j *job) waits() bool {
	if j.fails {
		return true
	}
	n, ok := j.check.(negative)
	return ok && n.negative()
}

// bound is the most time that one attempt gets.
func (j *job) bound() time.Duration {
	b, ok := j.check.(bounded)
	switch {
	case !ok:
		return j.within
	case j.waits():
		// What is wanted may be silence, and that must leave time to see
		// whether the machine is alive.
		return min(b.bound(j.within), j.within/2)
	default:
		return min(b.bound(j.within), j.within)
	}
}

// satisfied tells whether an outcome is what the probe wants.
func (j *job) satisfied(o outcome) bool {
	if j.fails {
		return o.verdict == missed
	}
	return o.verdict == held
}

// reason is the text of a failure.
func (j *job) reason(last outcome, spent time.Duration, tries int, interrupted error) string {
	want := j.check.want()
	if j.fails {
		want = "failure of: " + want
	}
	text := fmt.Sprintf("expected %s; last seen: %s; tried %s in %s", want, last.seen, times(tries), round(spent))
	if interrupted != nil {
		text += "; the run was interrupted"
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// round shortens a duration for people.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(10 * time.Millisecond)
	}
}
