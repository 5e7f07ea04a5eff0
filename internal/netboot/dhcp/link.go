package dhcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// link is one interface that is served: its sockets, which are made anew when
// the interface comes back after it was gone.
type link struct {
	s     *Server
	cfg   Link
	asker *asker

	mu    sync.RWMutex
	addr  netip.Addr
	socks *sockets // nil: the interface is gone
}

// lookEvery is how often it is looked whether the interface is still the one
// on which the sockets were made.
const lookEvery = 2 * time.Second

func newLink(s *Server, cfg Link) *link {
	l := &link{s: s, cfg: cfg, addr: cfg.Address}
	l.asker = newAsker(l.question)
	return l
}

func (l *link) address() netip.Addr {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.addr
}

func (l *link) sockets() *sockets {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.socks
}

// raw says whether frames can be sent to a hardware address.
func (l *link) raw() bool { s := l.sockets(); return s != nil && s.frames != nil }

// canAsk says whether the network can be asked who uses an address.
func (l *link) canAsk() bool { s := l.sockets(); return s != nil && s.arp != nil }

// open makes the sockets.
func (l *link) open() error {
	if l.cfg.Conn != nil || l.cfg.PXE != nil {
		if !l.cfg.Address.IsValid() {
			return errors.New("a link with a socket of its own needs an address")
		}
		l.mu.Lock()
		l.socks = &sockets{link: l, dhcp: newPort(l.cfg.Conn, serverPort), pxe: newPort(l.cfg.PXE, bootPort)}
		l.mu.Unlock()
		return nil
	}
	index, hw, addr, err := l.look()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.addr = addr
	l.mu.Unlock()
	socks, err := openSockets(l, index, hw, addr)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.socks = socks
	l.mu.Unlock()
	return nil
}

// look finds the interface and the server's address on it.
func (l *link) look() (index int, hw net.HardwareAddr, addr netip.Addr, err error) {
	i, err := net.InterfaceByName(l.cfg.Name)
	if err != nil {
		return 0, nil, addr, fmt.Errorf("there is no interface %q", l.cfg.Name)
	}
	if i.Flags&net.FlagUp == 0 {
		return 0, nil, addr, fmt.Errorf("the interface is down: ip link set %s up", l.cfg.Name)
	}
	list, err := i.Addrs()
	if err != nil {
		return 0, nil, addr, err
	}
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		v := toAddr(n.IP)
		if v.IsValid() && (!l.cfg.Address.IsValid() || v == l.cfg.Address) {
			return i.Index, i.HardwareAddr, v, nil
		}
	}
	if l.cfg.Address.IsValid() {
		return 0, nil, addr, fmt.Errorf("the interface has not the address %s", l.cfg.Address)
	}
	return 0, nil, addr, fmt.Errorf("the interface has no IPv4 address: ip address add ADDRESS/BITS dev %s", l.cfg.Name)
}

func (l *link) close() {
	l.mu.Lock()
	socks := l.socks
	l.socks = nil
	l.mu.Unlock()
	if socks != nil {
		socks.close()
	}
}

// serve reads until ctx ends; while the interface is gone it waits for it.
func (l *link) serve(ctx context.Context) {
	for ctx.Err() == nil {
		if l.sockets() != nil {
			l.session(ctx)
			if ctx.Err() != nil || l.cfg.Conn != nil || l.cfg.PXE != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		if l.open() == nil {
			l.say("", "the interface is back: "+l.cfg.Name+" is served again, as "+l.address().String())
		}
	}
}

// session serves with the present sockets until ctx ends or the interface is
// no longer what it was.
func (l *link) session(ctx context.Context) {
	socks := l.sockets()
	var all sync.WaitGroup
	broken := make(chan error, 8)
	for _, read := range socks.readers() {
		all.Go(func() { broken <- read() })
	}
	if socks.ears != nil && !l.s.NoRivalCheck {
		all.Go(func() { l.findRivals(ctx) })
	}
	why := l.wait(ctx, socks, broken)
	l.close()
	all.Wait()
	if ctx.Err() == nil && why != "" {
		l.say("nobody on "+l.cfg.Name+" gets an answer until it is back: "+why, "")
	}
}

// wait returns the reason for which a session ends.
func (l *link) wait(ctx context.Context, socks *sockets, broken <-chan error) string {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
		case err := <-broken:
			if err != nil {
				return err.Error()
			}
			return "its socket was closed"
		case <-tick.C:
			if l.cfg.Conn != nil || l.cfg.PXE != nil {
				continue
			}
			index, hw, addr, err := l.look()
			switch {
			case err != nil:
				return err.Error()
			case index != socks.index || !bytes.Equal(hw, socks.hw):
				return "the interface was replaced by another of its name"
			case addr != l.address():
				return "its address changed to " + addr.String()
			}
		}
	}
}

func (l *link) say(problem, text string) {
	if l.s.Events != nil {
		l.s.Events.Record(fleet.Event{Time: l.s.Clock.Wall(), Kind: "dhcp.link", Problem: problem, Text: text, Fields: map[string]string{"link": l.cfg.Name}})
	}
}

// question sends one question of the conflict check.
func (l *link) question(addr uint32, routed bool) error {
	socks := l.sockets()
	if socks == nil {
		return net.ErrClosed
	}
	if routed {
		return socks.echo(addr)
	}
	return socks.whoHas(addr)
}
