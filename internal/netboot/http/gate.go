package http

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// gate is a listener that lets in so many connections, and so many of one
// client. It hands out the connections as they are: sendfile needs that.
type gate struct {
	net.Listener
	limit, each int
	sink        fleet.Sink
	who         func(from netip.Addr, digest string) fleet.Event // as Server.Who

	mu      sync.Mutex
	clients map[netip.Addr]int
	open    map[net.Conn]netip.Addr
	told    time.Time
}

func newGate(l net.Listener, limit, each int, sink fleet.Sink) *gate {
	return &gate{Listener: l, limit: limit, each: each, sink: sink, clients: map[netip.Addr]int{}, open: map[net.Conn]netip.Addr{}}
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.enter(c) {
			return c, nil
		}
		c.Close()
	}
}

func (g *gate) enter(c net.Conn) bool {
	from := addrOf(c.RemoteAddr())
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) < g.limit && g.clients[from] < g.each {
		g.open[c] = from
		g.clients[from]++
		return true
	}
	if now := time.Now(); now.Sub(g.told) > time.Second {
		g.told = now
		e := fleet.Event{
			Time: now, Address: from.String(), Kind: fleet.KindHTTPBusy,
			Problem: "a connection was closed at once: too many are open, or too many from this address",
		}
		if g.who != nil {
			known := g.who(from, "")
			e.Client, e.Machine = known.Client, known.Machine
		}
		g.sink.Record(e)
	}
	return false
}

// state counts out what was closed.
func (g *gate) state(c net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	from, ok := g.open[c]
	if !ok {
		return
	}
	delete(g.open, c)
	if g.clients[from]--; g.clients[from] <= 0 {
		delete(g.clients, from)
	}
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap()
	}
	return netip.Addr{}
}
