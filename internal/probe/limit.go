package probe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/internal/machine"
)

// limitCheck bounds what the running machine uses, once it is up.
type limitCheck struct{ p *machine.LimitProbe }

func newLimit(p *machine.Probe) check { return limitCheck{p.Limit} }

// negative: too little is used before the machine is up.
func (c limitCheck) negative() bool { return true }

func (c limitCheck) want() string {
	var parts []string
	for _, l := range c.lines(Usage{}) {
		parts = append(parts, fmt.Sprintf("at most %s of %s", l.most, l.name))
	}
	return strings.Join(parts, ", ")
}

// line is one bound with what it bounds.
type line struct {
	name, most, used string
	over             bool
}

func (c limitCheck) lines(u Usage) []line {
	var lines []line
	for _, s := range []struct {
		name string
		most machine.Size
		used int64
	}{{"memory", c.p.Memory, u.Memory}, {"disk written", c.p.Disk, u.Disk}, {"tree size", c.p.Size, u.Size}} {
		if s.most > 0 {
			lines = append(lines, line{s.name, size(int64(s.most)), size(s.used), s.used > int64(s.most)})
		}
	}
	if c.p.Uptime > 0 {
		lines = append(lines, line{"time to come up", c.p.Uptime.String(), u.Uptime.Round(10 * time.Millisecond).String(), u.Uptime > c.p.Uptime})
	}
	return lines
}

func (c limitCheck) try(ctx context.Context, s *session) outcome {
	u, err := s.Usage(ctx)
	if err != nil {
		return breaks("the usage is not known: %s", plain(err))
	}
	verdict, seen := held, []string{}
	for _, l := range c.lines(u) {
		if l.over {
			verdict = missed
		}
		seen = append(seen, l.used+" of "+l.name)
	}
	return outcome{verdict, strings.Join(seen, ", ")}
}

// size is an amount of bytes in the units of definitions (powers of 1024).
func size(n int64) string {
	v := float64(n)
	for _, unit := range []string{"", "K", "M", "G"} {
		if v < 1024 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + unit
		}
		v /= 1024
	}
	return fmt.Sprintf("%.1fT", v)
}
