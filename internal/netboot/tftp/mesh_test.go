package tftp

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"
)

// mesh is a network in memory that loses, doubles and reorders packets.
type mesh struct {
	mu    sync.Mutex
	ends  map[netip.AddrPort]*end
	next  uint16
	dice  *rand.Rand
	lose  float64
	twice float64
	delay time.Duration // at most; 0 keeps the order
	watch func(from, to netip.AddrPort, b []byte) (drop bool)
	sent  map[uint16]int // packets by operation
}

func newMesh(seed uint64) *mesh {
	return &mesh{ends: map[netip.AddrPort]*end{}, next: 40000, dice: rand.New(rand.NewPCG(seed, 1)), sent: map[uint16]int{}}
}

// end is a socket on a mesh.
type end struct {
	m      *mesh
	at     netip.AddrPort
	in     chan packet
	closed chan struct{}
	once   sync.Once
}

func (m *mesh) open(addr string, port uint16) *end {
	m.mu.Lock()
	defer m.mu.Unlock()
	if port == 0 {
		m.next++
		port = m.next
	}
	e := &end{m: m, at: netip.AddrPortFrom(netip.MustParseAddr(addr), port), in: make(chan packet, 4096), closed: make(chan struct{})}
	m.ends[e.at] = e
	return e
}

func (e *end) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-e.in:
		return copy(b, p.data), net.UDPAddrFromAddrPort(p.peer), nil
	case <-e.closed:
		return 0, nil, net.ErrClosed
	}
}

// receive is ReadFrom with a time limit.
func (e *end) receive(limit time.Duration) (packet, bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case p := <-e.in:
		return p, true
	case <-timer.C:
		return packet{}, false
	}
}

func (e *end) WriteTo(b []byte, to net.Addr) (int, error) {
	e.send(b, addrPort(to))
	return len(b), nil
}

func (e *end) send(b []byte, to netip.AddrPort) {
	m := e.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[binary.BigEndian.Uint16(b)]++
	target := m.ends[to]
	if m.watch != nil && m.watch(e.at, to, b) || m.dice.Float64() < m.lose || target == nil {
		return
	}
	copies := 1
	if m.dice.Float64() < m.twice {
		copies = 2
	}
	for range copies {
		p := packet{data: append([]byte{}, b...), peer: e.at}
		deliver := func() {
			select {
			case target.in <- p:
			default:
			}
		}
		if m.delay > 0 {
			time.AfterFunc(time.Duration(m.dice.Int64N(int64(m.delay))), deliver)
		} else {
			deliver()
		}
	}
}

func (e *end) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}
func (e *end) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(e.at) }
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// rrq is a read request.
func rrq(name string, options ...string) []byte {
	b := append([]byte{0, opRead}, name+"\x00octet\x00"...)
	for _, o := range options {
		b = append(append(b, o...), 0)
	}
	return b
}

var server69 = netip.MustParseAddrPort("10.0.0.1:69")

// download is a client after RFC 1350 and 7440, as loaders do it: it repeats
// what it said last when nothing comes.
func download(c *end, name string, block, window int) ([]byte, error) {
	request := rrq(name, "blksize", strconv.Itoa(block), "windowsize", strconv.Itoa(window), "tsize", "0")
	if block == plainBlock && window == 1 {
		request = rrq(name)
	}
	var (
		got      []byte
		peer     = server69
		last     = request
		expect   = int64(1)
		inWindow int
		gap      bool
	)
	say := func(b []byte) { last = b; c.send(b, peer) }
	say(request)
	for quiet := 0; ; {
		p, ok := c.receive(time.Second)
		if !ok {
			if quiet++; quiet > 40 {
				return got, errors.New("the server went silent")
			}
			c.send(last, peer)
			inWindow = 0
			continue
		}
		if peer == server69 {
			peer = p.peer
		} else if p.peer != peer {
			continue
		}
		quiet = 0
		switch op, n := binary.BigEndian.Uint16(p.data), binary.BigEndian.Uint16(p.data[2:]); op {
		case opError:
			return got, errors.New(string(p.data[4 : len(p.data)-1]))
		case opOACK:
			if expect == 1 {
				say(appendHeader(nil, opAck, 0))
			}
		case opData:
			if n != uint16(expect) {
				// A gap: say once where it is (RFC 7440, 4).
				if ahead := n - uint16(expect); ahead < 1000 && !gap {
					gap = true
					say(appendHeader(nil, opAck, uint16(expect-1)))
				} else if ahead >= 1000 { // seen already: said again, as simple loaders do
					c.send(appendHeader(nil, opAck, uint16(expect-1)), peer)
				}
				inWindow = 0
				continue
			}
			gap = false
			got = append(got, p.data[4:]...)
			expect++
			inWindow++
			final := len(p.data)-4 < block
			if final || inWindow == window {
				inWindow = 0
				say(appendHeader(nil, opAck, n))
			}
			if final {
				return got, nil
			}
		}
	}
}

// serveMesh starts a server on a mesh; the network must be quiet at the end.
func serveMesh(t *testing.T, m *mesh, s *Server) (stop func()) {
	t.Helper()
	s.Listen = func(netip.Addr) (net.PacketConn, error) { return m.open("10.0.0.1", 0), nil }
	socket := m.open("10.0.0.1", 69)
	ctx, cancel := contextWithCancel()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, socket) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
