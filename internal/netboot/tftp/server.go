package tftp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"slipway/internal/fleet"
)

// Request is what a client asks to read.
type Request struct {
	Name   string         // relative, with slashes, without what old ROMs append; never leaves the root
	Raw    string         // as it was asked
	Client netip.AddrPort // who asks
	Local  netip.Addr     // address that was asked; not valid where the socket cannot tell
}

// Answer is what a name means for one client.
type Answer struct {
	File File
	// About is copied into every event of this transfer: who the client is,
	// which machine, and the stage that the receipt of the whole file is
	// evidence of.
	About fleet.Event
}

// Server hands out files. The zero value of every limit is its default.
type Server struct {
	// Open finds what a request means. It may be called by many at once and
	// may take its time. An error that is fs.ErrNotExist is told to the client
	// as "not found", fs.ErrPermission as "refused", any other as a failure.
	// About of the Answer is told even with an error.
	Open func(context.Context, Request) (Answer, error)

	Sink       fleet.Sink    // of what happens; nil: nobody is told
	SinglePort bool          // answer from the port that was asked
	MaxBlock   int           // bytes of a block at most; 1468, what fits Ethernet
	Transfers  int           // at once; 4096. More are not answered, and ask again by themselves
	PerClient  int           // at once from one address; 16
	First      time.Duration // until something is sent again, at first; 500 ms, then twice as long each time
	GiveUp     time.Duration // after silence; 30 s

	// Listen opens a socket to answer from, on the address that was asked (not
	// valid: any), with a free port. Nil: a plain UDP socket. Not used with
	// SinglePort.
	Listen func(local netip.Addr) (net.PacketConn, error)
}

// Serve answers what comes in on a socket, until ctx ends or the socket fails.
// It closes the socket. A socket for all addresses of the host is best made
// with "udp4": the answers leave from the address that was asked.
func (s *Server) Serve(ctx context.Context, socket net.PacketConn) error {
	e := newEngine(ctx, s, socket)
	stop := context.AfterFunc(ctx, e.close)
	defer stop()
	err := e.listen()
	e.close()
	e.wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serving TFTP on %s: %w", socket.LocalAddr(), err)
}

func (s *Server) withDefaults() Server {
	d := *s
	d.Sink = or(d.Sink, fleet.Sink(fleet.SinkFunc(func(fleet.Event) {})))
	d.MaxBlock = min(or(d.MaxBlock, ethernetIPv4), maxMessage-4)
	d.Transfers = or(d.Transfers, 4096)
	d.PerClient = or(d.PerClient, 16)
	d.First = or(d.First, 500*time.Millisecond)
	d.GiveUp = or(d.GiveUp, 30*time.Second)
	if d.Listen == nil {
		d.Listen = listenUDP
	}
	return d
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func listenUDP(local netip.Addr) (net.PacketConn, error) {
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
}
