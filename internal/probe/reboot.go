package probe

import (
	"context"
	"fmt"

	"slipway/internal/machine"
)

// rebootCheck stands for a probe that is not tried again and again: see reboots.
type rebootCheck struct{ boots int }

func newReboot(p *machine.Probe) check { return rebootCheck{p.Reboot} }

func (c rebootCheck) want() string {
	if c.boots == 1 {
		return "a cold boot after which all holds again"
	}
	return fmt.Sprintf("%d cold boots after which all holds again", c.boots)
}

// negative: nothing waits for a reboot but what says so.
func (c rebootCheck) negative() bool { return true }

// try makes one cold boot.
func (c rebootCheck) try(ctx context.Context, s *session) outcome {
	machine, ok := s.Reach.(Rebooter)
	if !ok {
		return breaks("%v", ErrNoWay)
	}
	if err := machine.Reboot(ctx); err != nil {
		return misses("%s", plain(err))
	}
	return holds("up again")
}

// reboots boots the machine as often as the probe says, and wants all probes
// that stand before it to hold again after each time. Nothing else is tried
// meanwhile, see order.
func (r *run) reboots(parent context.Context, j *job) (bool, string) {
	ctx, cancel := context.WithTimeout(parent, j.within)
	defer cancel()
	for boot := 1; boot <= j.boots; boot++ {
		got := j.check.try(ctx, r.session)
		if got.verdict == held {
			got = r.holdAgain(ctx, j)
		}
		if got.verdict == held {
			continue
		}
		if j.fails {
			return true, ""
		}
		return false, fmt.Sprintf("expected %s; boot %d of %d: %s", j.check.want(), boot, j.boots, got.seen)
	}
	if j.fails {
		return false, fmt.Sprintf("expected failure of: %s; all %d went well", j.check.want(), j.boots)
	}
	return true, ""
}

// holdAgain makes the earlier probes once more, but for reboots.
func (r *run) holdAgain(ctx context.Context, j *job) outcome {
	var again []machine.Probe
	for _, p := range j.earlier {
		if p.Reboot == 0 {
			again = append(again, p)
		}
	}
	for _, result := range Run(ctx, again, r.session.Reach, nil) {
		if !result.OK {
			return misses("probe %q: %s", result.Name, result.Reason)
		}
	}
	return holds("all")
}
