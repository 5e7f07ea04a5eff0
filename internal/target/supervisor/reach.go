package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/probe"
)

// Reach is the prober's way to a machine, through its supervisor: it dials
// inside the lab, commands go through the guest helper.
type Reach struct {
	m       *Machine
	session *wire.Session
}

var (
	_ probe.Reach    = (*Reach)(nil)
	_ probe.Rebooter = (*Reach)(nil)
)

// Reach connects with the machine's supervisor. The caller closes it.
func (m *Machine) Reach(ctx context.Context) (*Reach, error) {
	session, err := m.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Reach{m: m, session: session}, nil
}

// Close ends the connection and what still goes through it.
func (r *Reach) Close() error { return r.session.Close() }

// Address is the machine's IPv4 address in the lab, or what else it has.
func (r *Reach) Address() netip.Addr {
	if len(r.m.Addresses) == 0 {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(r.m.Addresses[0])
	return addr
}

// Dial connects from inside the lab.
func (r *Reach) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	st, err := r.session.Open(wire.Request{Op: "lab-dial", Network: network, Address: address})
	if err != nil {
		return nil, dialError(network, address, err)
	}
	connected := make(chan error, 1)
	go func() {
		_, err := st.Reader(wire.Errors).Read(make([]byte, 1))
		connected <- err
	}()
	select {
	case err = <-connected:
	case <-ctx.Done():
		st.Reset()
		return nil, dialError(network, address, context.Cause(ctx))
	}
	if err != nil {
		if _, reason := st.Wait(ctx); reason != nil {
			err = reason
		}
		return nil, dialError(network, address, err)
	}
	return streamConn(st, network, address), nil
}

func dialError(network, address string, err error) error {
	var remote *wire.RemoteError
	if errors.As(err, &remote) {
		known := map[string]error{
			"refused": syscall.ECONNREFUSED, "unreachable": syscall.EHOSTUNREACH,
			"reset": syscall.ECONNRESET, "timeout": os.ErrDeadlineExceeded,
		}
		if e, ok := known[remote.Code]; ok {
			err = e
		}
		if remote.Code == "no-name" {
			return &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
		}
	}
	return &net.OpError{Op: "dial", Net: network, Addr: textAddr{network, address}, Err: err}
}

type textAddr struct{ network, address string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.address }

// pipeConn is a stream as a net.Conn: a pipe gives it deadlines.
type pipeConn struct {
	net.Conn
	st     *wire.Stream
	remote net.Addr
	once   sync.Once
}

func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) Close() error {
	c.once.Do(func() {
		c.st.Reset()
		c.Conn.Close()
	})
	return nil
}

func streamConn(st *wire.Stream, network, address string) net.Conn {
	user, ours := net.Pipe()
	if packets(network) {
		go sendPackets(st, ours)
		go receivePackets(st, ours)
	} else {
		go func() {
			io.Copy(st.Writer(wire.Input), ours)
			st.Writer(wire.Input).Close()
		}()
		go func() {
			io.Copy(ours, st.Reader(wire.Output))
			ours.Close()
		}()
	}
	return &pipeConn{Conn: user, st: st, remote: textAddr{network, address}}
}

// sendPackets and receivePackets rely on the pipe: one Write there is one Read
// here, as long as the buffer is large enough.
func sendPackets(st *wire.Stream, from net.Conn) {
	buf := make([]byte, maxPacket)
	for {
		n, err := from.Read(buf)
		if err != nil || writePacket(st.Writer(wire.Input), buf[:n]) != nil {
			return
		}
	}
}

func receivePackets(st *wire.Stream, to net.Conn) {
	defer to.Close()
	for {
		p, err := readPacket(st.Reader(wire.Output))
		if err != nil {
			return
		}
		if _, err := to.Write(p); err != nil {
			return
		}
	}
}

// Exec runs a program in the machine.
func (r *Reach) Exec(ctx context.Context, req probe.ExecRequest) (probe.ExecResult, error) {
	w := wire.Request{Op: "exec", Args: req.Args, Env: req.Env}
	if req.Timeout > 0 {
		w.MS = int(max(req.Timeout, time.Millisecond) / time.Millisecond)
	}
	st, err := r.session.Open(w)
	if err != nil {
		return probe.ExecResult{}, fmt.Errorf("running %s in %s: %w", req.Args[0], r.m.Name, err)
	}
	out, errs := &bounded{max: maxOutput}, &bounded{max: maxOutput}
	finish := copyStreams(st, Command{Stdin: bytes.NewReader(req.Stdin), Stdout: out, Stderr: errs})
	reply, err := st.Wait(ctx)
	if err == nil {
		finish()
	}
	var remote *wire.RemoteError
	if errors.As(err, &remote) && remote.Code == "deadline" {
		finish()
		return probe.ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes()}, fmt.Errorf("%w: %s", context.DeadlineExceeded, remote.Message)
	}
	if err != nil {
		return probe.ExecResult{}, fmt.Errorf("running %s in %s: %w", req.Args[0], r.m.Name, err)
	}
	return probe.ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: reply.Exit}, nil
}

// Terminal opens the machine's console, on which its getty offers a login.
func (r *Reach) Terminal(ctx context.Context) (io.ReadWriteCloser, error) {
	st, err := r.session.Open(wire.Request{Op: "console"})
	if err != nil {
		return nil, fmt.Errorf("reaching the console of %s: %w", r.m.Name, err)
	}
	return streamConn(st, "console", r.m.Name), nil
}

// Usage tells what the machine uses now.
func (r *Reach) Usage(ctx context.Context) (probe.Usage, error) {
	u, err := r.m.Usage(ctx)
	if err != nil {
		return probe.Usage{}, err
	}
	return probe.Usage{Memory: u.Memory, Disk: u.Disk, Size: u.TreeSize, Uptime: u.Boot}, nil
}

// Reboot switches the machine off in order and on again, and waits until its
// init has reached its goal.
func (r *Reach) Reboot(ctx context.Context) error {
	if err := r.m.Restart(ctx, false); err != nil {
		return err
	}
	now, err := r.m.WaitReady(ctx)
	switch {
	case err != nil:
		return err
	case !now.Running():
		return fmt.Errorf("it did not start again: %s", now.Reason)
	case now.State == Starting:
		return fmt.Errorf("its init has not reached its goal: %s", now.Reason)
	}
	return nil
}
