package probe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"slipway/internal/machine"
)

// Defaults of a probe's common keys.
const (
	DefaultWithin = 30 * time.Second
	DefaultEvery  = 250 * time.Millisecond
)

// Run makes all probes at the same time and returns one result for each, in
// their order. report, if not nil, is called once per probe as it ends, never
// twice at a time. Run ends when all probes have ended: at the latest when the
// longest chain of deadlines has passed, or soon after ctx was cancelled.
func Run(ctx context.Context, probes []machine.Probe, reach Reach, report func(Result)) []Result {
	r := &run{session: newSession(reach), report: report, jobs: make([]*job, len(probes))}
	for i := range probes {
		r.jobs[i] = newJob(&probes[i])
		r.jobs[i].earlier = probes[:i]
	}
	r.order()
	var all sync.WaitGroup
	for _, j := range r.jobs {
		all.Go(func() { r.end(j, r.work(ctx, j)) })
	}
	all.Wait()
	results := make([]Result, len(r.jobs))
	for i, j := range r.jobs {
		results[i] = j.result
	}
	return results
}

type run struct {
	session *session
	jobs    []*job
	mu      sync.Mutex
	report  func(Result)
}

// end publishes a result and lets those that wait for it begin.
func (r *run) end(j *job, result Result) {
	j.result = result
	if r.report != nil {
		r.mu.Lock()
		r.report(result)
		r.mu.Unlock()
	}
	close(j.done)
}

// work waits for what comes before a probe, then tries it.
func (r *run) work(ctx context.Context, j *job) Result {
	result := Result{Name: j.name}
	if j.fault != "" {
		result.Reason = j.fault
		return result
	}
	for _, before := range j.before {
		select {
		case <-before.done:
		case <-ctx.Done():
			result.Reason = "not tried: the run was interrupted"
			return result
		}
	}
	if j.after != nil && !j.after.result.OK {
		result.Reason = fmt.Sprintf("not tried: %q, after which it comes, failed", j.after.name)
		return result
	}
	start := time.Now()
	if j.boots > 0 {
		result.OK, result.Reason = r.reboots(ctx, j)
	} else {
		result.OK, result.Reason = r.until(ctx, j)
	}
	result.Seconds = time.Since(start).Seconds()
	return result
}

// until tries a probe until it holds or its time is over. What was seen last
// comes from the last attempt that ended by itself, if any did.
func (r *run) until(parent context.Context, j *job) (bool, string) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(parent, j.within)
	defer cancel()
	var last outcome
	for tries := 1; ; tries++ {
		got := r.attempt(ctx, j)
		if j.satisfied(got) {
			return true, ""
		}
		if tries == 1 || time.Since(start) < j.within-cutOff {
			last = got
		}
		if pause(ctx, j.every) != nil {
			return false, j.reason(last, time.Since(start), tries, parent.Err())
		}
	}
}

// cutOff is how close to the end of its time an attempt may end before it must
// be taken as cut off: timers of the network fire a little early.
const cutOff = 5 * time.Millisecond

// grace is how long an attempt may take to notice that its time is over and to
// say where it stood.
const grace = 30 * time.Millisecond

// attempt makes one attempt in a goroutine of its own, so that a check that
// hangs cannot pass the deadline.
func (r *run) attempt(ctx context.Context, j *job) outcome {
	start := time.Now()
	try, cancel := context.WithTimeout(ctx, j.bound())
	defer cancel()
	answer := make(chan outcome, 1)
	go func() { answer <- r.once(ctx, try, j) }()
	select {
	case got := <-answer:
		return got
	case <-try.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	if j.waits() && ctx.Err() == nil {
		late.Reset(j.within / 4) // the sign of life comes after the attempt
	}
	select {
	case got := <-answer:
		return got
	case <-late.C:
		return breaks("no end of the attempt in %s", round(time.Since(start)))
	}
}

// once makes the check in the time of try. A miss that is wanted must come
// from a living machine, which has until the end of ctx to show it.
func (r *run) once(ctx, try context.Context, j *job) outcome {
	got := j.check.try(try, r.session)
	if j.fails && got.verdict == missed {
		if err := r.session.alive(ctx); err != nil {
			return breaks("no sign of life of the machine: %s", plain(err))
		}
	}
	return got
}

// pause sleeps, or returns ctx's error if it ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
