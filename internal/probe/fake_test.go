package probe

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"slipway/internal/machine"
)

// fake is a machine that lives at loopback and runs functions for programs.
type fake struct {
	exec     func(ctx context.Context, req ExecRequest) (ExecResult, error)
	terminal func(ctx context.Context) (io.ReadWriteCloser, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	usage    Usage
	pending  []string
	key      []byte
}

var (
	_ Reach     = (*fake)(nil)
	_ Pender    = (*fake)(nil)
	_ KeyHolder = (*fake)(nil)
)

func (f *fake) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if f.dial != nil {
		return f.dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (f *fake) Exec(ctx context.Context, req ExecRequest) (ExecResult, error) {
	if f.exec == nil {
		return ExecResult{}, ErrNoWay
	}
	return f.exec(ctx, req)
}

func (f *fake) Terminal(ctx context.Context) (io.ReadWriteCloser, error) {
	if f.terminal == nil {
		return nil, ErrNoWay
	}
	return f.terminal(ctx)
}

func (f *fake) Address() netip.Addr                       { return netip.MustParseAddr("127.0.0.1") }
func (f *fake) Usage(context.Context) (Usage, error)      { return f.usage, nil }
func (f *fake) Pending(context.Context) ([]string, error) { return f.pending, nil }

func (f *fake) SSHKey(context.Context, string) ([]byte, error) { return f.key, nil }

// quick gives a probe short times, so that failing ones end soon.
func quick(p machine.Probe) machine.Probe {
	if p.Within == 0 {
		p.Within = 300 * time.Millisecond
	}
	p.Every = 50 * time.Millisecond
	return p
}

// patient gives a probe the time that fits its expected end: much when it will
// hold anyway, and when it will not enough for one attempt on a busy host.
func patient(p machine.Probe, holds bool) machine.Probe {
	switch {
	case p.Within != 0:
	case holds:
		p.Within = 20 * time.Second
	default:
		p.Within = 600 * time.Millisecond
	}
	return p
}

// one runs a single probe.
func one(t *testing.T, p machine.Probe, r Reach) Result {
	t.Helper()
	results := Run(t.Context(), []machine.Probe{quick(p)}, r, nil)
	if len(results) != 1 {
		t.Fatalf("got %d results, want 1", len(results))
	}
	return results[0]
}

func itoa(n int) string { return strconv.Itoa(n) }

func ptr[T any](v T) *T { return &v }
