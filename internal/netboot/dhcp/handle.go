package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// Ports of the protocol.
const (
	serverPort = 67
	clientPort = 68
	bootPort   = 4011
)

// incoming is a packet and how it came.
type incoming struct {
	link *link
	port int            // of ours: 67 or 4011
	from netip.AddrPort // who sent it
	to   netip.Addr     // where to; a broadcast or an address of ours
	data []byte         // with room for one byte more
}

// outgoing is an answer on its way.
type outgoing struct {
	link *link
	port int            // of ours
	to   netip.AddrPort // where to
	from netip.Addr     // source address; zero: the kernel chooses
	hw   []byte         // hardware address for an unconfigured client; nil: as UDP
	data []byte
	note note // what is recorded when it is sent
}

// work is what becomes of some packets that were read together: answers to
// send at once, lines for the journal, and answers to send when these are
// durable.
type work struct {
	wall  time.Time
	now   time.Duration
	out   []outgoing
	lines []byte
	after []outgoing
}

// handle takes one packet.
func (s *Server) handle(in *incoming, w *work) {
	p, err := decode(in.data)
	if err != nil {
		s.malformed(in, w, err)
		return
	}
	if p.OpCode != dhcpv4.OpcodeBootRequest {
		return // an answer of another server; the rival watch has its own ears
	}
	r := &Request{Time: w.wall, Link: in.link.cfg.Name, Port: in.port}
	if err := r.fill(p); err != nil {
		s.malformed(in, w, err)
		return
	}
	var pool *pool
	if s.Mode == Full {
		pool = s.poolFor(r, in)
	}
	r.Server = in.link.address()
	if pool != nil && pool.Server.IsValid() {
		r.Server = pool.Server
	}
	switch {
	case in.port == bootPort:
		s.bootServer(r, in, w)
	case s.Mode == Proxy:
		s.proxy(r, in, w)
	default:
		s.full(r, pool, in, w)
	}
}

// serverID is the address by which a client knows this server (option 54).
func (r *Request) serverID() netip.Addr {
	if r.Relay != nil && r.Relay.Server.IsValid() {
		return r.Relay.Server
	}
	return r.Server
}

// poolFor finds the subnet that a client is in: what relays say, in the order
// of RFC 3527 section 4 and RFC 3011, else the link; a client that renews
// through a router is in the subnet of its address.
func (s *Server) poolFor(r *Request, in *incoming) *pool {
	l := s.Leases
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Relay != nil && r.Relay.Link.IsValid() {
		return l.poolOf(r.Relay.Link)
	}
	if a := addrOf(r.Packet.Options[optSubnetChoice]); a.IsValid() {
		if p := l.poolOf(a); p != nil {
			return p
		}
	}
	if r.Relay != nil && r.Relay.Gateway.IsValid() {
		return l.poolOf(r.Relay.Gateway)
	}
	if own := toAddr(r.Packet.ClientIPAddr); own.IsValid() && in.to.IsValid() && in.to == in.link.address() {
		if p := l.poolOf(own); p != nil {
			return p
		}
	}
	return l.poolOf(in.link.address())
}

// full is a whole DHCP server.
func (s *Server) full(r *Request, p *pool, in *incoming, w *work) {
	if r.Type == dhcpv4.MessageTypeNone {
		s.note(w, s.event(r, "dhcp.bootp").problem("a BOOTP request: it cannot be given a lease; its firmware is too old for DHCP"))
		return
	}
	kind, known := requestKinds[r.Type]
	if !known {
		return
	}
	n := s.event(r, kind)
	if p == nil && r.Type != dhcpv4.MessageTypeRelease {
		s.note(w, n.problem("there is no subnet for "+s.place(r, in)+": add one, or a pool for it"))
		return
	}
	d := s.Policy.Decide(r)
	n.machine = d.Machine
	if d.Ignore {
		s.note(w, n.text("not answered: so it is decided"))
		return
	}
	wish := &wish{client: r.Client, machine: d.Machine, hostname: r.Hostname, reserved: d.Address, noPool: d.NoPool, want: r.Address,
		now: w.now, check: !s.NoConflictCheck && in.link.canAsk()}
	wish.taken = func(a netip.Addr) bool { return a != d.Address && s.Policy.Reserved(a) }
	switch r.Type {
	case dhcpv4.MessageTypeDiscover:
		s.discover(r, p, &d, wish, in, w, n)
	case dhcpv4.MessageTypeRequest:
		s.request(r, p, &d, wish, in, w, n)
	case dhcpv4.MessageTypeDecline:
		s.note(w, n.problem("it says that "+r.Address.String()+" is in use by another machine: one with a fixed address, or a second DHCP server"))
		if r.Address.IsValid() && s.names(r) {
			w.lines, _ = s.Leases.finish(p, r.Client, r.Address, LeaseDeclined, w.now, w.lines)
		}
	case dhcpv4.MessageTypeRelease:
		s.note(w, n)
		if own := toAddr(r.Packet.ClientIPAddr); own.IsValid() && p != nil && s.names(r) {
			w.lines, _ = s.Leases.finish(p, r.Client, own, LeaseReleased, w.now, w.lines)
		}
	case dhcpv4.MessageTypeInform:
		s.note(w, n)
		a := answer(r, dhcpv4.MessageTypeAck, r.serverID())
		a.ClientIPAddr = r.Packet.ClientIPAddr
		configure(a, r, p.Subnet, &d)
		s.finish(a, r, &d, in, w, &w.out, "dhcp.ack")
	}
}

var requestKinds = map[dhcpv4.MessageType]string{
	dhcpv4.MessageTypeDiscover: "dhcp.discover", dhcpv4.MessageTypeRequest: "dhcp.request", dhcpv4.MessageTypeDecline: "dhcp.decline",
	dhcpv4.MessageTypeRelease: "dhcp.release", dhcpv4.MessageTypeInform: "dhcp.inform",
}

// names says whether a message is for this server: it names it, or nobody.
func (s *Server) names(r *Request) bool {
	id := addrOf(r.Packet.Options[54])
	return !id.IsValid() || id == r.serverID() || id == r.Server
}

func (s *Server) discover(r *Request, p *pool, d *Decision, wish *wish, in *incoming, w *work, n note) {
	f, err := s.Leases.offer(p, wish)
	if err != nil {
		switch {
		case d.NoPool && !d.Address.IsValid():
			n = n.text("no address: only machines that are declared get one")
		case f.why != "":
			n = n.problem(f.why)
		case s.Leases.later(p, s.discoverAgain(r, p, d, in)):
			return
		default:
			n = n.problem("no free address in " + p.Prefix.String() + ": make its pool larger, or the leases shorter").because(fleet.CauseExhausted)
			s.exhausted(p, w)
		}
		s.note(w, n)
		return
	}
	if f.why != "" {
		n = n.problem(f.why)
	}
	s.note(w, n)
	if f.low {
		s.restock(p, in.link)
	}
	if f.check {
		s.ask(r, p, d, f.e, in, w)
		return
	}
	s.offer(r, p, d, f.e, in, w)
}

// discoverAgain is the same DISCOVER, to be looked at later.
func (s *Server) discoverAgain(r *Request, p *pool, d *Decision, in *incoming) func() {
	again := *in
	again.data = nil
	return func() {
		w := s.work()
		s.discover(r, p, d, s.wishAgain(r, d, w, in.link), &again, w, s.event(r, "dhcp.discover"))
		s.flush(w)
	}
}

// offer answers a DISCOVER with an address.
func (s *Server) offer(r *Request, p *pool, d *Decision, e *entry, in *incoming, w *work) {
	a := answer(r, dhcpv4.MessageTypeOffer, r.serverID())
	a.YourIPAddr = address(e.addr).AsSlice()
	leaseTimes(a, p.lease())
	configure(a, r, p.Subnet, d)
	s.finish(a, r, d, in, w, &w.out, "dhcp.offer")
}

func (p *pool) lease() time.Duration {
	if p.Lease <= 0 {
		return time.Hour
	}
	return max(p.Lease, 10*time.Second)
}

// leaseTimes writes the options 51, 58 and 59 (RFC 2131, 4.4.5).
func leaseTimes(a *dhcpv4.DHCPv4, lease time.Duration) {
	seconds := uint32(min(lease/time.Second, 0xfffffffe))
	b := make([]byte, 12)
	binary.BigEndian.PutUint32(b, seconds)
	binary.BigEndian.PutUint32(b[4:], seconds/2)
	binary.BigEndian.PutUint32(b[8:], uint32(uint64(seconds)*7/8))
	a.Options[51], a.Options[58], a.Options[59] = b[:4:4], b[4:8:8], b[8:]
}

func (s *Server) request(r *Request, p *pool, d *Decision, wish *wish, in *incoming, w *work, n note) {
	if !s.names(r) {
		other := addrOf(r.Packet.Options[54])
		s.note(w, n.problem("it takes the offer of another DHCP server, "+other.String()).because(fleet.CauseRival))
		s.Leases.refuse(p, r.Client)
		s.rival(w, in.link, other, r.Client, "it takes its offer")
		return
	}
	if own := toAddr(r.Packet.ClientIPAddr); own.IsValid() && !addrOf(r.Packet.Options[54]).IsValid() {
		wish.want = own // it renews or rebinds
	} else if asked := toAddr(r.Packet.RequestedIPAddress()); asked.IsValid() {
		wish.want = asked
	}
	if !wish.want.IsValid() {
		s.note(w, n.problem("a request that names no address"))
		return
	}
	lines, why := s.Leases.confirm(p, wish, p.lease(), w.lines)
	w.lines = lines
	if why != "" {
		s.note(w, n.text("refused: "+why))
		a := answer(r, dhcpv4.MessageTypeNak, r.serverID())
		a.Options[56] = []byte(why)
		a.SetBroadcast() // by the relay, if there is one: the client's address may be wrong (RFC 2131, 4.3.2)
		s.send(a, r, in, &w.out, s.event(r, "dhcp.nak").of(d).text(why))
		return
	}
	s.note(w, n)
	a := answer(r, dhcpv4.MessageTypeAck, r.serverID())
	a.ClientIPAddr = r.Packet.ClientIPAddr
	a.YourIPAddr = wish.want.AsSlice()
	leaseTimes(a, p.lease())
	configure(a, r, p.Subnet, d)
	s.finish(a, r, d, in, w, &w.after, "dhcp.ack")
}

// finish adds the boot answer and sends.
func (s *Server) finish(a *dhcpv4.DHCPv4, r *Request, d *Decision, in *incoming, w *work, to *[]outgoing, kind string) {
	c := s.bootFor(r, d)
	fillBoot(a, r, c, s.alone(w.now))
	s.send(a, r, in, to, s.event(r, kind).of(d).boot(c))
}

// send puts an answer into a list.
func (s *Server) send(a *dhcpv4.DHCPv4, r *Request, in *incoming, list *[]outgoing, n note) {
	n.address = toAddr(a.YourIPAddr)
	data, left := encode(r, a)
	if len(left) > 0 {
		n.left = left
	}
	o := outgoing{link: in.link, port: in.port, from: in.link.address(), data: data, note: n}
	o.to, o.hw = destination(a, r, in)
	*list = append(*list, o)
	answers.Put(a)
}

// destination is where an answer goes (RFC 2131, 4.1). hw is set when the
// client has no address yet and can be reached by its hardware address only.
func destination(a *dhcpv4.DHCPv4, r *Request, in *incoming) (to netip.AddrPort, hw []byte) {
	p := r.Packet
	nak := a.Options[53][0] == byte(dhcpv4.MessageTypeNak)
	switch {
	case in.port == bootPort:
		if in.from.Addr().IsValid() && !in.from.Addr().IsUnspecified() {
			return in.from, nil
		}
	case r.Relay != nil && r.Relay.Gateway.IsValid():
		port := uint16(serverPort)
		if r.Relay.anyPort {
			port = in.from.Port()
		}
		return netip.AddrPortFrom(r.Relay.Gateway, port), nil
	case nak:
	case toAddr(p.ClientIPAddr).IsValid():
		return netip.AddrPortFrom(toAddr(p.ClientIPAddr), clientPort), nil
	case !p.IsBroadcast() && toAddr(a.YourIPAddr).IsValid() && p.HWType == etherType && len(p.ClientHWAddr) == 6 && in.link.raw():
		return netip.AddrPortFrom(toAddr(a.YourIPAddr), clientPort), p.ClientHWAddr
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), clientPort), nil
}
