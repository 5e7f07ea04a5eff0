package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialLimit = 5 * time.Second  // for reaching the machine
	udpIdle   = 60 * time.Second // a UDP conversation ends after this silence
	udpMost   = 1024             // conversations at a time
)

// Dialer reaches a machine. The zero net.Dialer does, inside the lab.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Counts are a Forward's statistics; safe to read at any time.
type Counts struct {
	Total, Active, Refused atomic.Int64 // conversations
	In, Out                atomic.Int64 // bytes to and from the machine
}

// Forward carries conversations from a listening socket of the host to a
// machine's address. The host's socket was opened outside and is handed in; the
// dialling happens here, in the lab.
//
// The kernel completes a TCP handshake before anybody can ask the machine. What
// can be done is done: the machine is reached first, and when it refuses, the
// client's connection is reset at once instead of being closed politely.
type Forward struct {
	Target string // host:port in the lab
	Dialer Dialer // nil: net.Dialer
	Counts Counts
}

func (f *Forward) dial(ctx context.Context, network string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if f.Dialer != nil {
		return f.Dialer.DialContext(ctx, network, f.Target)
	}
	return new(net.Dialer).DialContext(ctx, network, f.Target)
}

// ServeTCP forwards connections until ctx ends or the listener fails. It closes
// the listener and all connections and waits for them.
func (f *Forward) ServeTCP(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		client, err := l.Accept()
		if err != nil {
			cancel()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("forwarding %s to %s: %w", l.Addr(), f.Target, err)
		}
		group.Go(func() { f.carry(ctx, client) })
	}
}

// carry connects one client with the machine.
func (f *Forward) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	f.Counts.Total.Add(1)
	machine, err := f.dial(ctx, "tcp")
	if err != nil {
		f.Counts.Refused.Add(1)
		if t, ok := client.(*net.TCPConn); ok {
			t.SetLinger(0) // close by RST
		}
		return
	}
	defer machine.Close()
	f.Counts.Active.Add(1)
	defer f.Counts.Active.Add(-1)
	stop := context.AfterFunc(ctx, func() { client.Close(); machine.Close() })
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { pipe(machine, client, &f.Counts.In) })
	group.Go(func() { pipe(client, machine, &f.Counts.Out) })
	group.Wait()
}

// pipe copies one direction and passes its end on as end of that direction
// only, so that half-closed protocols work. A failed source fails the other
// side too: its reader must not wait for ever.
func pipe(to, from net.Conn, count *atomic.Int64) {
	n, err := io.Copy(to, from)
	count.Add(n)
	if err != nil {
		for _, c := range []net.Conn{to, from} {
			if t, ok := c.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
			c.Close()
		}
		return
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	} else {
		to.Close()
	}
}

// ServeUDP forwards datagrams until ctx ends or the socket fails. Every client
// address has a conversation of its own; it ends after a minute of silence.
func (f *Forward) ServeUDP(ctx context.Context, pc net.PacketConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { pc.Close() })
	defer stop()
	s := &udpSessions{f: f, host: pc, open: map[string]net.Conn{}}
	defer s.closeAll()
	buf := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("forwarding %s to %s: %w", pc.LocalAddr(), f.Target, err)
		}
		if c := s.get(ctx, from); c != nil {
			if _, err := c.Write(buf[:n]); err == nil {
				f.Counts.In.Add(int64(n))
			}
		}
	}
}

type udpSessions struct {
	f     *Forward
	host  net.PacketConn
	mu    sync.Mutex
	open  map[string]net.Conn
	group sync.WaitGroup
}

// get finds or starts the conversation of a client; nil: too many, or no way.
func (s *udpSessions) get(ctx context.Context, from net.Addr) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := from.String()
	if c := s.open[key]; c != nil {
		c.SetReadDeadline(time.Now().Add(udpIdle))
		return c
	}
	if len(s.open) >= udpMost {
		return nil
	}
	c, err := s.f.dial(ctx, "udp")
	s.f.Counts.Total.Add(1)
	if err != nil {
		s.f.Counts.Refused.Add(1)
		return nil
	}
	c.SetReadDeadline(time.Now().Add(udpIdle))
	s.open[key] = c
	s.f.Counts.Active.Add(1)
	s.group.Go(func() { s.back(c, from, key) })
	return c
}

// back carries the machine's answers to the client.
func (s *udpSessions) back(c net.Conn, to net.Addr, key string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			break // silence, or the machine's port is closed
		}
		if _, err := s.host.WriteTo(buf[:n], to); err != nil {
			break
		}
		s.f.Counts.Out.Add(int64(n))
		c.SetReadDeadline(time.Now().Add(udpIdle))
	}
	c.Close()
	s.mu.Lock()
	delete(s.open, key)
	s.mu.Unlock()
	s.f.Counts.Active.Add(-1)
}

func (s *udpSessions) closeAll() {
	s.mu.Lock()
	for _, c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
}
