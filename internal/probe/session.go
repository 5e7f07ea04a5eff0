package probe

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"
)

// machineHost is the host name that stands for the machine in a probe.
const machineHost = "machine"

// session is what the checks of one run share.
type session struct {
	Reach

	mu       sync.Mutex
	hostKeys map[string]string // address: host key of first use
}

func newSession(r Reach) *session {
	return &session{Reach: r, hostKeys: map[string]string{}}
}

// hostPort is the address to dial for a host of a probe.
func (s *session) hostPort(host string, port int) string {
	if host == "" || host == machineHost {
		host = s.Address().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// dial connects, and closes the connection's reads and writes at the deadline
// of ctx.
func (s *session) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // a connection without deadlines is abandoned by the runner
	}
	return conn, nil
}

// exec runs a program inside for as long as ctx lasts.
func (s *session) exec(ctx context.Context, args ...string) (ExecResult, error) {
	if err := ctx.Err(); err != nil {
		return ExecResult{}, err
	}
	req := ExecRequest{Args: args}
	if end, ok := ctx.Deadline(); ok {
		req.Timeout = max(time.Until(end), time.Millisecond)
	}
	return s.Exec(ctx, req)
}

// shell runs a script inside; its parameters are $1 and so on.
func (s *session) shell(ctx context.Context, script string, params ...string) (ExecResult, error) {
	return s.exec(ctx, append([]string{"/bin/sh", "-c", script, "sh"}, params...)...)
}
