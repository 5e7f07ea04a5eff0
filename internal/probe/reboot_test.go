package probe

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/machine"
)

// booted counts cold boots; from boot broken on its commands fail.
type booted struct {
	*fake
	boots  atomic.Int32
	broken int32
	err    error
}

func (b *booted) Reboot(context.Context) error {
	b.boots.Add(1)
	return b.err
}

func newBooted(broken int32) *booted {
	b := &booted{fake: &fake{}, broken: broken}
	b.exec = func(_ context.Context, req ExecRequest) (ExecResult, error) {
		if b.broken > 0 && b.boots.Load() >= b.broken {
			return ExecResult{Exit: 1}, nil
		}
		if req.Args[0] == "/bin/sh" && req.Args[2] == "false" {
			return ExecResult{Exit: 1}, nil
		}
		return ExecResult{}, nil
	}
	return b
}

func TestReboot(t *testing.T) {
	command := quick(machine.Probe{Name: "true", Command: "true"})
	late := quick(machine.Probe{Name: "late", Command: "true"})
	reboot := machine.Probe{Name: "thrice", Reboot: 3, Within: 20 * time.Second}
	for _, c := range []struct {
		name   string
		reach  *booted
		fails  bool
		err    error
		boots  int32
		ok     bool
		reason string
	}{
		{name: "all hold", reach: newBooted(0), boots: 3, ok: true},
		{name: "the second breaks it", reach: newBooted(2), boots: 2, reason: `boot 2 of 3: probe "true"`},
		{name: "and that is wanted", reach: newBooted(2), fails: true, boots: 2, ok: true},
		{name: "it does not come back", reach: newBooted(0), err: errors.New("it is gone"), boots: 1, reason: "boot 1 of 3: it is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := reboot
			p.Fails, c.reach.err = c.fails, c.err
			got := Run(t.Context(), []machine.Probe{command, p, late}, c.reach, nil)
			if got[1].OK != c.ok || !strings.Contains(got[1].Reason, c.reason) {
				t.Errorf("%+v", got[1])
			}
			if n := c.reach.boots.Load(); n != c.boots {
				t.Errorf("%d boots, want %d", n, c.boots)
			}
			if !got[0].OK || !got[2].OK {
				t.Errorf("a probe was disturbed: %+v", got)
			}
		})
	}
}

func TestRebootOrder(t *testing.T) {
	b := newBooted(0)
	got := Run(t.Context(), []machine.Probe{
		{Name: "first", Reboot: 1, Within: 5 * time.Second},
		{Name: "second", Reboot: 1, Within: 5 * time.Second},
		quick(machine.Probe{Name: "behind", Command: "true", After: "first"}),
		quick(machine.Probe{Name: "unwanted", Command: "false", Fails: true}),
		{Name: "small", Limit: &machine.LimitProbe{Memory: 1 << 20}, Within: 5 * time.Second},
	}, b, nil)
	for _, r := range got {
		if !r.OK {
			t.Errorf("%+v", r)
		}
	}
	if b.boots.Load() != 2 {
		t.Errorf("%d boots", b.boots.Load())
	}
	if r := one(t, machine.Probe{Name: "x", Reboot: 1, Within: time.Second}, &fake{}); r.OK || !strings.Contains(r.Reason, "no such way in") {
		t.Errorf("a target without a way: %+v", r)
	}
}
