package probe

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"slipway/internal/machine"
)

// closedCheck holds when a connection is refused, or when nothing answers it
// although the machine lives (a firewall that drops).
type closedCheck struct{ port int }

func newPortClosed(p *machine.Probe) check { return closedCheck{p.PortClosed} }

func (c closedCheck) negative() bool { return true }

func (c closedCheck) bound(time.Duration) time.Duration { return 2 * time.Second }

func (c closedCheck) want() string { return fmt.Sprintf("tcp port %d to be closed", c.port) }

func (c closedCheck) try(ctx context.Context, s *session) outcome {
	// Half of the time is for the connection, so that silence leaves the other
	// half for the sign of life.
	part := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		part, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	conn, err := s.dial(part, "tcp", s.hostPort("", c.port))
	switch {
	case err == nil:
		conn.Close()
		return misses("an open port")
	case errors.Is(err, syscall.ECONNREFUSED):
		return holds("connection refused")
	case part.Err() == nil && !timedOut(err):
		return breaks("%s", plain(err))
	}
	if _, err := s.exec(ctx, "true"); err != nil {
		return breaks("no answer, and no sign of life of the machine: %s", plain(err))
	}
	return holds("no answer")
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
