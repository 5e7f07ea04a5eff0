package probe

import (
	"context"
	"errors"
	"fmt"
)

// order links every job to those it waits for. A name that is not there and a
// circle become faults, so that a run always ends.
func (r *run) order() {
	byName := map[string]*job{}
	for _, j := range r.jobs {
		if _, ok := byName[j.name]; !ok {
			byName[j.name] = j
		}
	}
	for _, j := range r.jobs {
		if j.wait == "" {
			continue
		}
		if j.after = byName[j.wait]; j.after == nil {
			j.fault = fmt.Sprintf("not tried: there is no probe %q to come after", j.wait)
		}
	}
	for _, j := range r.jobs {
		if circular(j) {
			j.fault = "not tried: it comes after itself"
		}
	}
	for _, j := range r.jobs {
		switch {
		case j.fault != "":
		case j.boots > 0:
			j.before = r.others(j)
		case j.after != nil:
			j.before = []*job{j.after}
		case j.waits():
			j.before = r.early()
		}
	}
}

// others is what must have ended before a machine may be switched off for j:
// all that does not itself wait for j or a later reboot.
func (r *run) others(j *job) []*job {
	var jobs []*job
	index := map[*job]int{}
	for i, other := range r.jobs {
		index[other] = i
	}
	for _, other := range r.jobs {
		if other == j.after || other != j && !bootsSince(other, index, index[j]) {
			jobs = append(jobs, other)
		}
	}
	return jobs
}

// bootsSince tells whether j is, or comes after, a reboot from place first on.
func bootsSince(j *job, index map[*job]int, first int) bool {
	seen := map[*job]bool{}
	for at := j; at != nil && !seen[at]; at = at.after {
		if at.boots > 0 && index[at] >= first {
			return true
		}
		seen[at] = true
	}
	return false
}

// circular tells whether a chain of "after" comes back to j.
func circular(j *job) bool {
	steps := map[*job]bool{}
	for at := j.after; at != nil && !steps[at]; at = at.after {
		if at == j {
			return true
		}
		steps[at] = true
	}
	return false
}

// early is all probes that expect success and wait for none that does not:
// when they have ended the machine is as far up as it will get.
func (r *run) early() []*job {
	var jobs []*job
	for _, j := range r.jobs {
		if j.fault == "" && !everWaits(j) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func everWaits(j *job) bool {
	seen := map[*job]bool{}
	for at := j; at != nil && !seen[at]; at = at.after {
		if at.fault != "" || at.waits() {
			return true
		}
		seen[at] = true
	}
	return false
}

// alive asks the machine for any sign of life. A target without a way in
// cannot give one, and is believed.
func (s *session) alive(ctx context.Context) error {
	_, err := s.exec(ctx, "true")
	if errors.Is(err, ErrNoWay) {
		return nil
	}
	return err
}
