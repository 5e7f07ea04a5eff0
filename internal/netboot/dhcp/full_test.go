package dhcp

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestLeaseLife(t *testing.T) {
	b := newRig(t, nil)
	offer, out := b.one(from(mac1, dhcpv4.MessageTypeDiscover, dhcpv4.WithBroadcast(true)))
	if got := toAddr(offer.YourIPAddr); got != addr("10.9.0.100") {
		t.Errorf("offered %s, want the first of the pool", got)
	}
	if out.to.String() != "255.255.255.255:68" || out.hw != nil {
		t.Errorf("the offer goes to %s, want a broadcast as was asked", out.to)
	}
	if got := offer.IPAddressLeaseTime(0); got != time.Hour {
		t.Errorf("lease time %s, want an hour", got)
	}
	if t1, t2 := offer.IPAddressRenewalTime(0), offer.IPAddressRebindingTime(0); t1 != 30*time.Minute || t2 != 52*time.Minute+30*time.Second {
		t.Errorf("renewal after %s and rebinding after %s, want 1/2 and 7/8 of an hour", t1, t2)
	}
	if got := b.lease(mac1); got != addr("10.9.0.100") {
		t.Fatalf("leased %s, want what was offered", got)
	}
	// Renewal: to the server itself, without options 50 and 54.
	b.clock.pass(30 * time.Minute)
	ack, out := b.one(from(mac1, dhcpv4.MessageTypeRequest, ciaddr("10.9.0.100")))
	if ack.MessageType() != dhcpv4.MessageTypeAck || out.to.String() != "10.9.0.100:68" {
		t.Errorf("renewal: %s to %s, want an ACK to 10.9.0.100:68", ack.MessageType(), out.to)
	}
	b.clock.pass(45 * time.Minute)
	if l := b.Leases.List(); len(l) != 1 || l[0].State != LeaseActive || l[0].Client != mac1 {
		t.Errorf("after the renewal: %+v, want an active lease", l)
	}
	// Release, and the same address again.
	b.none(from(mac1, dhcpv4.MessageTypeRelease, ciaddr("10.9.0.100"), withIP(54, "10.9.0.1")))
	if l := b.Leases.List(); l[0].State != LeaseReleased {
		t.Errorf("after the release: %+v", l)
	}
	b.lease(mac2)
	if got := b.lease(mac1); got != addr("10.9.0.100") {
		t.Errorf("after a release it gets %s, want its old address", got)
	}
}

func TestRefusals(t *testing.T) {
	b := newRig(t, nil)
	b.lease(mac1)
	for name, p := range map[string]*dhcpv4.DHCPv4{
		"another's address": from(mac2, dhcpv4.MessageTypeRequest, withIP(50, "10.9.0.100"), withIP(54, "10.9.0.1")),
		"another network":   from(mac2, dhcpv4.MessageTypeRequest, withIP(50, "192.168.1.5")),
		"outside the pool":  from(mac2, dhcpv4.MessageTypeRequest, withIP(50, "10.9.0.7")),
		"the router":        from(mac2, dhcpv4.MessageTypeRequest, withIP(50, "10.9.0.254")),
		"rebinding it":      from(mac2, dhcpv4.MessageTypeRequest, ciaddr("10.9.0.100")),
	} {
		nak, out := b.one(p)
		if nak.MessageType() != dhcpv4.MessageTypeNak || len(nak.Options[51]) != 0 || nak.Message() == "" {
			t.Errorf("%s: %s, want a NAK that says why and has no lease", name, nak.Summary())
		}
		if out.to.Addr() != addr("255.255.255.255") {
			t.Errorf("%s: the NAK goes to %s, want everybody (RFC 2131, 4.1)", name, out.to)
		}
	}
	// Another server's offer was taken: silence, and the address is free again.
	b.one(from(mac2, dhcpv4.MessageTypeDiscover))
	b.none(from(mac2, dhcpv4.MessageTypeRequest, withIP(50, "10.9.0.180"), withIP(54, "10.9.0.9")))
	has(t, b.events.of("dhcp.rival"), "another DHCP server, 10.9.0.9")
	if got := b.lease("52:54:00:00:00:03"); got != addr("10.9.0.101") {
		t.Errorf("the next machine gets %s, want the address that was given up", got)
	}
}

func TestReservation(t *testing.T) {
	b := newRig(t, nil)
	b.policy.machines[mac1] = Decision{Machine: "web", Address: addr("10.9.0.100"), Hostname: "web"}
	if got := b.lease(mac2); got != addr("10.9.0.101") {
		t.Errorf("a stranger gets %s, want the first address that is nobody's", got)
	}
	if got := b.lease(mac1); got != addr("10.9.0.100") {
		t.Errorf("the machine gets %s, want its own", got)
	}
	// A changed reservation acts at the next renewal.
	b.policy.machines[mac1] = Decision{Machine: "web", Address: addr("10.9.0.20")}
	if nak, _ := b.one(from(mac1, dhcpv4.MessageTypeRequest, ciaddr("10.9.0.100"))); nak.MessageType() != dhcpv4.MessageTypeNak {
		t.Errorf("a renewal of the old address: %s, want NAK", nak.MessageType())
	}
	if got := b.lease(mac1); got != addr("10.9.0.20") {
		t.Errorf("it gets %s, want the new one, which is in no pool", got)
	}
	if l := b.Leases.List(); l[0].Machine != "web" || l[0].State != LeaseActive || l[1].State != LeaseReleased {
		t.Errorf("%+v, want the new lease and the old one given back", l)
	}
	// One whose address another holds gets one of the pool, and that is said.
	b.policy.machines[mac1] = Decision{Machine: "web", Address: addr("10.9.0.101")}
	if got := b.lease(mac1); got == addr("10.9.0.101") || !network.Contains(got) {
		t.Errorf("it gets %s, which is leased to another", got)
	}
	has(t, b.events.of("dhcp.discover"), "is leased to "+mac2)
	b.policy.machines[mac1] = Decision{Machine: "web", Address: addr("10.8.0.1")}
	b.lease(mac1)
	has(t, b.events.of("dhcp.discover"), "its address 10.8.0.1 is not in the network 10.9.0.0/24")
	// Only declared machines.
	b.policy.others = Decision{NoPool: true}
	b.none(from("52:54:00:00:00:09", dhcpv4.MessageTypeDiscover))
	b.policy.others = Decision{Ignore: true}
	b.none(from("52:54:00:00:00:09", dhcpv4.MessageTypeDiscover))
}

func TestExhaustedPool(t *testing.T) {
	b := newRig(t, nil)
	for i := range 10 {
		b.lease(fmt.Sprintf("52:54:00:00:01:%02x", i))
	}
	b.none(from(mac1, dhcpv4.MessageTypeDiscover))
	has(t, b.events.of("dhcp.exhausted"), "every address of the pool in 10.9.0.0/24 is taken")
	b.none(from(mac2, dhcpv4.MessageTypeDiscover))
	if n := len(b.events.of("dhcp.exhausted")); n != 1 {
		t.Errorf("%d events of an exhausted pool at once, want one", n)
	}
	// Those who have a lease go on.
	if ack, _ := b.one(from("52:54:00:00:01:03", dhcpv4.MessageTypeRequest, ciaddr("10.9.0.103"))); ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("a renewal in a full pool: %s", ack.MessageType())
	}
	// The lease that ended first is given to the next who comes.
	b.clock.pass(61 * time.Minute)
	if got := b.lease(mac1); !network.Contains(got) || got == addr("10.9.0.103") {
		t.Errorf("after the leases ended: %s", got)
	}
}

func TestDeclineAndInform(t *testing.T) {
	b := newRig(t, nil)
	b.lease(mac1)
	b.none(from(mac1, dhcpv4.MessageTypeDecline, withIP(50, "10.9.0.100"), withIP(54, "10.9.0.1")))
	has(t, b.events.of("dhcp.decline"), "10.9.0.100 is in use by another machine")
	if got := b.lease(mac1); got == addr("10.9.0.100") {
		t.Error("an address that was declined is given again")
	}
	ack, out := b.one(from(mac2, dhcpv4.MessageTypeInform, ciaddr("10.9.0.44")))
	if toAddr(ack.YourIPAddr).IsValid() || ack.Options[51] != nil || out.to.String() != "10.9.0.44:68" {
		t.Errorf("INFORM: %s to %s, want no address and no lease", ack.Summary(), out.to)
	}
	if !bytes.Equal(ack.Options[3], addr("10.9.0.254").AsSlice()) {
		t.Error("INFORM: no router in the answer")
	}
}

func TestClientListsWhatItWants(t *testing.T) {
	b := newRig(t, nil)
	offer, _ := b.one(from(mac1, dhcpv4.MessageTypeDiscover, with(55, 1), with(61, 1, 2, 3)))
	if offer.Options[3] != nil || offer.Options[6] != nil || offer.Options[1] == nil {
		t.Errorf("want no router and no DNS, which were not asked for: %s", offer.Summary())
	}
	if !bytes.Equal(offer.Options[61], []byte{1, 2, 3}) {
		t.Error("the client identifier does not come back (RFC 6842)")
	}
}

func TestRelay(t *testing.T) {
	b := newRig(t, func(s *Server) {
		s.Subnets = append(s.Subnets, Subnet{Prefix: network2, Pools: []Range{{addr("10.8.0.10"), addr("10.8.0.20")}}},
			Subnet{Prefix: network3, Pools: []Range{{addr("10.7.0.10"), addr("10.7.0.20")}}})
	})
	relayed := func(p *dhcpv4.DHCPv4) { p.GatewayIPAddr = addr("10.8.0.1").AsSlice(); p.HopCount = 1 }
	info := []byte{1, 4, 'g', 'e', '/', '1', 2, 2, 0, 7}
	offer, out := b.one(from(mac1, dhcpv4.MessageTypeDiscover, relayed, with(82, info...), dhcpv4.WithBroadcast(true)))
	if got := toAddr(offer.YourIPAddr); got != addr("10.8.0.10") {
		t.Errorf("a relayed client gets %s, want an address of the relay's network", got)
	}
	if out.to.String() != "10.8.0.1:67" || out.hw != nil {
		t.Errorf("the answer goes to %s, want the relay", out.to)
	}
	if !bytes.Equal(offer.Options[82], info) || bytes.Count(out.data, info) != 1 {
		t.Errorf("option 82 comes back as %x, want %x, once", offer.Options[82], info)
	}
	e := b.events.of("dhcp.discover")[0]
	if e.Fields["relay"] != "10.8.0.1" || e.Fields["circuit"] != "ge/1" || e.Fields["remote"] != "0007" {
		t.Errorf("the event has %v", e.Fields)
	}
	// RFC 3527: another subnet than the relay's own address; RFC 5107: the
	// relay stands for the server.
	info = append([]byte{5, 4}, addr("10.7.0.0").AsSlice()...)
	info = append(append(info, 11, 4), addr("10.8.0.1").AsSlice()...)
	offer, _ = b.one(from(mac2, dhcpv4.MessageTypeDiscover, relayed, with(82, info...)))
	if got := toAddr(offer.YourIPAddr); got != addr("10.7.0.10") {
		t.Errorf("link selection gives %s, want 10.7.0.10", got)
	}
	if got := addrOf(offer.Options[54]); got != addr("10.8.0.1") {
		t.Errorf("the server calls itself %s, want the relay's address", got)
	}
	ack, _ := b.one(from(mac2, dhcpv4.MessageTypeRequest, relayed, with(82, info...), withIP(50, "10.7.0.10"), withIP(54, "10.8.0.1")))
	if ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("a request that names the relay as server: %s", ack.MessageType())
	}
	// RFC 8357: the relay asks from another port.
	got := b.put(serverPort, "10.8.0.1:9999", from(mac2, dhcpv4.MessageTypeDiscover, relayed, with(82, 19, 0)).ToBytes())
	if len(got) != 1 || got[0].to.String() != "10.8.0.1:9999" {
		t.Errorf("a relay with a port of its own is answered at %+v", got)
	}
	nak, out := b.one(from(mac1, dhcpv4.MessageTypeRequest, relayed, withIP(50, "10.9.0.100")))
	if nak.MessageType() != dhcpv4.MessageTypeNak || !nak.IsBroadcast() || out.to.String() != "10.8.0.1:67" {
		t.Errorf("a relayed NAK goes to %s, broadcast %v (RFC 2131, 4.3.2)", out.to, nak.IsBroadcast())
	}
}

func TestUnknownSubnetIsSaid(t *testing.T) {
	b := newRig(t, nil)
	b.none(from(mac1, dhcpv4.MessageTypeDiscover, func(p *dhcpv4.DHCPv4) { p.GatewayIPAddr = addr("172.16.0.1").AsSlice() }))
	has(t, b.events.of("dhcp.discover"), "no subnet for the relay 172.16.0.1")
}

func TestSmallMessage(t *testing.T) {
	b := newRig(t, nil)
	big := bytes.Repeat([]byte("x"), 900)
	b.policy.others = Decision{Boot: boot, Options: map[uint8][]byte{224: big}}
	offer, out := b.one(from(mac1, dhcpv4.MessageTypeDiscover, withText(60, "PXEClient:Arch:00007:UNDI:003016"), with(93, 0, 7), with(57, 2, 64)))
	if len(out.data) > minAnswer || offer.Options[224] != nil || offer.BootFileName != "snponly.efi" {
		t.Errorf("%d bytes for a client that takes %d", len(out.data), minAnswer)
	}
	has(t, b.events.of("dhcp.offer"), "[224] had no room")
	offer, out = b.one(from(mac1, dhcpv4.MessageTypeDiscover, with(57, 5, 200)))
	if !bytes.Equal(offer.Options[224], big) { // RFC 3396: in parts of 255 bytes
		t.Errorf("a long option comes back as %d bytes, want %d; packet %d", len(offer.Options[224]), len(big), len(out.data))
	}
}

func TestOverload(t *testing.T) {
	b := newRig(t, nil)
	raw := from(mac1, dhcpv4.MessageTypeDiscover, with(52, 3)).ToBytes()
	copy(raw[fileStart:], append([]byte{60, 32}, []byte("PXEClient:Arch:00007:UNDI:003016\xff")...))
	copy(raw[snameStart:], []byte{93, 2, 0, 7, 12, 3, 'a', 'b', 'c', 255})
	if out := b.put(serverPort, "", raw); len(out) != 1 {
		t.Fatal("no answer")
	}
	r := b.policy.asked[0]
	if r.Kind != KindPXE || r.Arch.Code != 7 || r.Hostname != "abc" {
		t.Errorf("read %+v from overloaded fields", r)
	}
}
