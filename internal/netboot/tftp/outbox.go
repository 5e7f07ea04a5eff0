package tftp

import (
	"net/netip"
	"time"
)

// outbox gathers packets that are sent together.
type outbox struct {
	packets []packet
	memory  []byte
	first   time.Duration // to wait for an acknowledgement
}

// packet is one datagram, from or to a peer. local is our address that it was
// sent to, or is to be sent from; the zero address: the socket's own.
type packet struct {
	data  []byte
	peer  netip.AddrPort
	local netip.Addr
}

// outboxRoom is how much one outbox holds in memory of its own: the answers to
// one batch of packets, with windows of several blocks.
const outboxRoom = 512 << 10

// space is memory for one packet of up to n bytes, empty.
func (o *outbox) space(n int) []byte {
	used := len(o.memory)
	if used+n > cap(o.memory) {
		return make([]byte, 0, n)
	}
	return o.memory[used : used : used+n]
}

// add takes a packet, in memory from space, to be sent.
func (o *outbox) add(peer netip.AddrPort, local netip.Addr, b []byte) {
	used := len(o.memory)
	if used+len(b) <= cap(o.memory) && len(b) > 0 && &o.memory[:used+1][used] == &b[0] {
		o.memory = o.memory[:used+len(b)]
	}
	o.packets = append(o.packets, packet{b, peer, local})
}

func (o *outbox) reset() {
	clear(o.packets)
	o.packets = o.packets[:0]
	if o.memory == nil {
		o.memory = make([]byte, 0, outboxRoom)
	}
	o.memory = o.memory[:0]
}
