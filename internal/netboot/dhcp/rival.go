package dhcp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// rivalEvery is how often the same other server is reported of the same client.
const rivalEvery = time.Minute

// maxRivals bounds the memory of who was heard to answer whom.
const maxRivals = 4096

// rival reports that another DHCP server answers on a link. Beside a whole
// server of ours it is a problem; a proxy expects one.
func (s *Server) rival(w *work, link *link, id netip.Addr, client, how string) {
	if !id.IsValid() {
		return
	}
	if !s.state.clients.booting(client) {
		client = "" // an answer to our own question, or somebody who boots nothing
	}
	s.state.mu.Lock()
	s.state.heardAny = max(w.now, 1)
	key := id.String() + " " + client
	last, ok := s.state.rivals[key]
	if ok && w.now-last < rivalEvery {
		s.state.mu.Unlock()
		return
	}
	if len(s.state.rivals) >= maxRivals {
		clear(s.state.rivals)
	}
	s.state.rivals[key] = w.now
	s.state.mu.Unlock()
	e := fleet.Event{Time: w.wall, Kind: fleet.KindRival, Client: client, Address: id.String(), Fields: map[string]string{"link": link.cfg.Name, fleet.FieldServer: id.String()}}
	if s.Mode == Full {
		e.Problem = fmt.Sprintf("another DHCP server, %s, answers on %s (%s): machines take whichever answer comes first; stop one of the two, or serve as a proxy", id, link.cfg.Name, how)
	} else {
		e.Text = fmt.Sprintf("the DHCP server of %s is %s (%s)", link.cfg.Name, id, how)
	}
	if s.Events != nil {
		s.Events.Record(e)
	}
}

// overheard takes an answer of another server, which was sent to a client on
// the link.
func (s *Server) overheard(link *link, from netip.Addr, data []byte) {
	p, err := decode(data)
	if err != nil || p.OpCode != dhcpv4.OpcodeBootReply {
		return
	}
	kind := p.MessageType()
	if kind != dhcpv4.MessageTypeOffer && kind != dhcpv4.MessageTypeAck {
		return
	}
	id := firstAddress(addrOf(p.Options[54]), from)
	if id == link.address() || from == link.address() {
		return
	}
	for i := range s.Subnets {
		if s.Subnets[i].Server == id {
			return
		}
	}
	client := p.ClientHWAddr.String()
	how := "it offers " + toAddr(p.YourIPAddr).String() + " to " + client
	if !toAddr(p.YourIPAddr).IsValid() {
		how = "it offers something to boot to " + client
	}
	s.rival(s.work(), link, id, client, how)
}

// alone says whether this is the only server that machines here can hear: it
// asked at start and heard nobody, then or for some time.
func (s *Server) alone(now time.Duration) bool {
	if s.Mode != Full {
		return false
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.asked && (s.state.heardAny == 0 || now-s.state.heardAny > 10*time.Minute)
}

// discoverRivals makes the DISCOVER of a machine that boots, from a hardware
// address that nobody has, so that servers and proxies show themselves.
func discoverRivals(hw []byte, xid [4]byte) []byte {
	d := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: etherType, TransactionID: xid, Flags: flagBroadcastBit,
		ClientHWAddr: hw, Options: dhcpv4.Options{
			53: {byte(dhcpv4.MessageTypeDiscover)}, 55: {1, 3, 6, 43, 54, 60, 66, 67}, optArch: {0, 7}, 94: {1, 3, 16},
			optClass: []byte("PXEClient:Arch:00007:UNDI:003016"),
		}}
	return d.ToBytes()
}
