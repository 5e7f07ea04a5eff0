package tftp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// engine is a Server at work: the socket that is asked, the ports that answer,
// and who is being served.
type engine struct {
	Server
	ctx    context.Context
	cancel context.CancelFunc
	asked  conn
	bound  netip.Addr // address of the socket; unspecified: any
	work   sync.WaitGroup
	kick   chan struct{} // wakes the clock
	cache  cache

	mu      sync.Mutex
	ports   map[netip.Addr][]*port // by local address
	active  map[netip.AddrPort]*transfer
	opening map[netip.AddrPort]bool
	clients map[netip.Addr]int
	probes  map[probe]int64 // sizes that were told
	next    int
	closed  bool
}

// probe is a size that a client was told; it must hold when it reads the file.
type probe struct {
	client netip.Addr
	name   string
}

// maxLocals and maxProbes bound tables that others can fill.
const (
	maxLocals = 64
	maxProbes = 1024
)

func newEngine(ctx context.Context, s *Server, socket net.PacketConn) *engine {
	ctx, cancel := context.WithCancel(ctx)
	e := &engine{
		Server: s.withDefaults(), ctx: ctx, cancel: cancel, asked: newConn(socket),
		bound: addrPort(socket.LocalAddr()).Addr(), kick: make(chan struct{}, 1),
		ports: map[netip.Addr][]*port{}, active: map[netip.AddrPort]*transfer{}, opening: map[netip.AddrPort]bool{},
		clients: map[netip.Addr]int{}, probes: map[probe]int64{},
	}
	e.work.Go(e.clock)
	return e
}

func (e *engine) close() {
	e.cancel()
	e.asked.close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, ports := range e.ports {
		for _, p := range ports {
			p.c.close()
		}
	}
}

// wait waits for every goroutine, and then closes what was being sent.
func (e *engine) wait() {
	e.work.Wait()
	for _, t := range e.active {
		t.file.Close()
	}
}

// listen reads the socket that is asked.
func (e *engine) listen() error {
	var single *port
	if e.SinglePort {
		single = e.newPort(e.asked, true)
		e.mu.Lock()
		e.ports[netip.Addr{}] = []*port{single}
		e.mu.Unlock()
	}
	in := make([]packet, batch)
	var out outbox
	for {
		n, err := e.asked.read(in)
		if err != nil {
			return err
		}
		out.reset()
		out.first = e.First
		for _, p := range in[:n] {
			if !p.peer.IsValid() || p.peer.Port() == 0 || len(p.data) < 2 {
				continue
			}
			switch op := binary.BigEndian.Uint16(p.data); {
			case op == opRead || op == opWrite:
				e.ask(p, &out)
			case single != nil:
				single.receive(p, &out)
			}
		}
		// What cannot be sent is asked for again.
		_ = e.asked.write(out.packets)
	}
}

// ask takes a request; what can be answered at once is.
func (e *engine) ask(p packet, out *outbox) {
	refuse := func(code uint16, text string) {
		out.add(p.peer, p.local, appendError(out.space(plainBlock), code, text))
	}
	r, err := parseRequest(p.data)
	if err != nil {
		refuse(errIllegal, "not understood")
		return
	}
	q := Request{Raw: r.name, Client: p.peer, Local: p.local}
	if r.op == opWrite {
		refuse(errAccess, "this server takes no files")
		e.record(q, Answer{}, fleet.KindTFTPError, "", "a client wanted to write a file")
		return
	}
	if r.mode != "octet" && r.mode != "netascii" {
		refuse(errIllegal, "the mode must be octet")
		e.record(q, Answer{}, fleet.KindTFTPError, "", fmt.Sprintf("mode %q is neither octet nor netascii", printable(r.mode)))
		return
	}
	var ok bool
	if q.Name, ok = cleanName(r.name); !ok {
		refuse(errNotFound, "no such file")
		e.record(q, Answer{}, fleet.KindTFTPError, "", "the name leaves the folder of boot files")
		return
	}
	again, avoid := e.again(q, r)
	if again {
		return
	}
	if why := e.reserve(p.peer); why != "" {
		e.record(q, Answer{}, KindBusy, "", why)
		return
	}
	e.work.Go(func() { e.start(q, r, avoid) })
}

// again answers a request that was sent twice because its answer was lost.
// A client that asks anew from the same port ends what it had before; what is
// still on its way to the port of that must not meet the new.
func (e *engine) again(q Request, r request) (again bool, avoid *port) {
	e.mu.Lock()
	t := e.active[q.Client]
	waiting := e.opening[q.Client]
	e.mu.Unlock()
	if t == nil {
		return waiting, nil
	}
	return t.port.again(t, r), t.port
}

// reserve counts a client in. It says why there is no room.
func (e *engine) reserve(client netip.AddrPort) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return "the server ends"
	case len(e.active)+len(e.opening) >= e.Transfers:
		return fmt.Sprintf("%d transfers run, more wait", e.Transfers)
	case e.clients[client.Addr()] >= e.PerClient:
		return fmt.Sprintf("%s has %d transfers at once", client.Addr(), e.PerClient)
	}
	e.opening[client] = true
	e.clients[client.Addr()]++
	return ""
}

func (e *engine) unreserve(client netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.opening, client)
	e.leave(client)
}

// leave counts a client out; e.mu is held.
func (e *engine) leave(client netip.AddrPort) {
	if e.clients[client.Addr()]--; e.clients[client.Addr()] <= 0 {
		delete(e.clients, client.Addr())
	}
}

// portFor picks the port that answers: never one on which the client has
// something running, so that what is on its way for that cannot end the new.
func (e *engine) portFor(local netip.Addr, avoid *port) (*port, error) {
	if e.SinglePort {
		return e.ports[netip.Addr{}][0], nil
	}
	if !local.IsValid() || local.IsMulticast() || !e.bound.IsUnspecified() {
		local = e.bound
	}
	ports := e.ports[local]
	for want := min(max(runtime.GOMAXPROCS(0), 2), 8); len(ports) < want; {
		if len(ports) == 0 && len(e.ports) >= maxLocals {
			return nil, fmt.Errorf("answers leave from %d addresses already", maxLocals)
		}
		socket, err := e.Listen(local)
		if err != nil {
			return nil, fmt.Errorf("opening a port to answer from: %w", err)
		}
		p := e.newPort(newConn(socket), false)
		e.work.Go(p.run)
		ports = append(ports, p)
		e.ports[local] = ports
	}
	e.next++
	if p := ports[e.next%len(ports)]; p != avoid {
		return p, nil
	}
	e.next++
	return ports[e.next%len(ports)], nil
}

// clock sends again what was lost. It rests while nothing is sent.
func (e *engine) clock() {
	period := max(min(e.First/5, 100*time.Millisecond), time.Millisecond)
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.kick:
		}
		for e.tick() > 0 {
			select {
			case <-e.ctx.Done():
				return
			case <-time.After(period):
			}
		}
	}
}

func (e *engine) tick() (left int) {
	e.mu.Lock()
	var all []*port
	for _, ports := range e.ports {
		all = append(all, ports...)
	}
	left = len(e.active)
	e.mu.Unlock()
	for _, p := range all {
		p.tick()
	}
	return left
}
