package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"

	"slipway/internal/probe"
)

// inside is the way to the machine of who runs on it.
type inside struct{ server string } // host that its network leads to

var _ probe.Reach = inside{}

// Dial implements probe.Reach.
func (inside) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Exec implements probe.Reach.
func (inside) Exec(ctx context.Context, req probe.ExecRequest) (probe.ExecResult, error) {
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, req.Args[0], req.Args[1:]...)
	cmd.Env, cmd.Stdin = append(os.Environ(), req.Env...), bytes.NewReader(req.Stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err != nil {
		return probe.ExecResult{}, err
	}
	return probe.ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: cmd.ProcessState.ExitCode()}, nil
}

// Terminal implements probe.Reach.
func (inside) Terminal(context.Context) (io.ReadWriteCloser, error) { return nil, probe.ErrNoWay }

// Address implements probe.Reach: the one that the machine has in the server's
// network, for a service may listen on that one alone.
func (i inside) Address() netip.Addr {
	conn, err := net.Dial("udp", net.JoinHostPort(i.server, "9")) // sends nothing
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// Usage implements probe.Reach.
func (inside) Usage(context.Context) (probe.Usage, error) { return probe.Usage{}, probe.ErrNoWay }
