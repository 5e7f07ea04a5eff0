package dhcp

import (
	"net"
	"net/netip"
	"sort"
	"sync"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// answer begins the reply to a request: what comes back unchanged (xid, flags,
// giaddr, chaddr, client identifier, UUID, and the relay agent's option once),
// and who the server is.
func answer(r *Request, kind dhcpv4.MessageType, server netip.Addr) *dhcpv4.DHCPv4 {
	p := r.Packet
	a := answers.Get().(*dhcpv4.DHCPv4)
	options := a.Options
	clear(options)
	*a = dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: p.HWType, TransactionID: p.TransactionID, Flags: p.Flags,
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero,
		GatewayIPAddr: p.GatewayIPAddr, ClientHWAddr: p.ClientHWAddr, Options: options,
	}
	a.Options[53] = []byte{byte(kind)}
	a.Options[54] = server.AsSlice()
	if id := p.Options[optClientID]; len(id) > 0 {
		a.Options[optClientID] = id
	}
	if r.Relay != nil && r.Relay.Raw != nil {
		a.Options[optAgentInfo] = r.Relay.Raw
	}
	return a
}

// answers are used again once they are encoded: their maps are most of the
// work of an answer. Nothing may keep one after send.
var answers = sync.Pool{New: func() any { return &dhcpv4.DHCPv4{Options: make(dhcpv4.Options, 24)} }}

// protocol lists the options that only the server itself may set.
var protocol = map[uint8]bool{
	0: true, 50: true, 51: true, optOverload: true, 53: true, 54: true, 55: true, optMessageSize: true, 58: true, 59: true,
	optClientID: true, optAgentInfo: true, 255: true,
}

// configure adds the options of a subnet and of the decision. A client that
// lists what it wants gets no more than that of the subnet's.
func configure(a *dhcpv4.DHCPv4, r *Request, s *Subnet, d *Decision) {
	wanted := r.Packet.Options[55]
	want := func(code uint8) bool {
		for _, c := range wanted {
			if c == code {
				return true
			}
		}
		return len(wanted) == 0
	}
	if s != nil {
		a.Options[1] = net.CIDRMask(s.Prefix.Bits(), 32)
		if s.Router.IsValid() && want(3) {
			a.Options[3] = s.Router.AsSlice()
		}
		addresses(a, 6, s.DNS, want)
		addresses(a, 42, s.NTP, want)
		if s.Domain != "" && want(15) {
			a.Options[15] = []byte(s.Domain)
		}
		if want(28) && s.Prefix.Bits() < 31 {
			a.Options[28] = address(broadcast(s.Prefix)).AsSlice()
		}
		extra(a, s.Options)
	}
	if d.Hostname != "" && want(12) {
		a.Options[12] = []byte(d.Hostname)
	}
	extra(a, d.Options)
}

func addresses(a *dhcpv4.DHCPv4, code uint8, list []netip.Addr, want func(uint8) bool) {
	if len(list) == 0 || !want(code) {
		return
	}
	b := make([]byte, 0, 4*len(list))
	for _, v := range list {
		if v.Is4() {
			b = append(b, v.AsSlice()...)
		}
	}
	a.Options[code] = b
}

func extra(a *dhcpv4.DHCPv4, options map[uint8][]byte) {
	for code, v := range options {
		if !protocol[code] {
			a.Options[code] = v
		}
	}
}

// needed are options that an answer is of no use without; the rest may be left
// out where the client's largest message is too small.
var needed = map[uint8]bool{1: true, 3: true, 51: true, 53: true, 54: true, optClientID: true, optClass: true, opt43: true, optAgentInfo: true, optUUID: true}

// encode writes an answer of at most the size that the client takes (option
// 57, RFC 2132, 9.10). left names the options that had no room.
func encode(r *Request, a *dhcpv4.DHCPv4) (b []byte, left []uint8) {
	limit := minAnswer
	if v := r.Packet.Options[optMessageSize]; len(v) == 2 {
		limit = max(limit, int(v[0])<<8+int(v[1])-28)
	}
	limit = min(limit, 1472) // no fragments: many boot ROMs have none
	b = a.ToBytes()
	if len(b) <= limit {
		return b, nil
	}
	codes := make([]uint8, 0, len(a.Options))
	for c := range a.Options {
		if needed[c] || c == optBootFile && len(a.BootFileName) == 0 {
			continue
		}
		codes = append(codes, c)
	}
	sort.Slice(codes, func(i, j int) bool { return len(a.Options[codes[i]]) > len(a.Options[codes[j]]) })
	for _, c := range codes {
		delete(a.Options, c)
		left = append(left, c)
		if b = a.ToBytes(); len(b) <= limit {
			break
		}
	}
	return b, left
}
