package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// testClock is a clock that tests turn.
type testClock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func newTestClock() *testClock {
	return &testClock{wall: time.Unix(1_800_000_000, 0), mono: time.Hour}
}

func (c *testClock) clock() Clock {
	return Clock{
		Wall: func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall },
		Mono: func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.mono },
	}
}

func (c *testClock) pass(d time.Duration) {
	c.mu.Lock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
	c.mu.Unlock()
}

func (c *testClock) set(d time.Duration) {
	c.mu.Lock()
	c.wall = c.wall.Add(d)
	c.mu.Unlock()
}

// events keeps what was recorded.
type events struct {
	mu  sync.Mutex
	all []fleet.Event
}

func (e *events) Record(v fleet.Event) {
	e.mu.Lock()
	e.all = append(e.all, v)
	e.mu.Unlock()
}

// of returns the events of one kind.
func (e *events) of(kind string) []fleet.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []fleet.Event
	for _, v := range e.all {
		if v.Kind == kind {
			out = append(out, v)
		}
	}
	return out
}

// table is a policy out of two maps.
type table struct {
	mu       sync.Mutex
	machines map[string]Decision // by hardware address
	others   Decision
	asked    []Request
}

func (t *table) Decide(r *Request) Decision {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, *r)
	if d, ok := t.machines[r.Client]; ok {
		return d
	}
	return t.others
}

func (t *table) Reserved(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.machines {
		if d.Address == a {
			return true
		}
	}
	return false
}

var (
	self    = netip.MustParseAddr("10.9.0.1")
	network = netip.MustParsePrefix("10.9.0.0/24")
	boot    = &Boot{Loader: "snponly.efi", LoaderURL: "http://10.9.0.1/b/T/snponly.efi", Script: "http://10.9.0.1/b/T/boot.ipxe"}
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// rig is a server without a network: packets are put in by hand.
type rig struct {
	*Server
	t      *testing.T
	clock  *testClock
	events *events
	policy *table
	link   *link
}

func newRig(t *testing.T, change func(*Server)) *rig {
	t.Helper()
	c := newTestClock()
	b := &rig{t: t, clock: c, events: &events{}, policy: &table{machines: map[string]Decision{}, others: Decision{Boot: boot}}}
	b.Server = &Server{Policy: b.policy, Events: b.events, Clock: c.clock(),
		Subnets: []Subnet{{Prefix: network, Pools: []Range{{addr("10.9.0.100"), addr("10.9.0.109")}}, Router: addr("10.9.0.254"), DNS: []netip.Addr{self}}},
	}
	if change != nil {
		change(b.Server)
	}
	if err := b.begin(); err != nil {
		t.Fatal(err)
	}
	b.link = newLink(b.Server, Link{Name: "test0", Address: self})
	return b
}

// put gives the server a packet and returns its answers, those that wait for
// the disk too.
func (b *rig) put(port int, from string, data []byte) []outgoing {
	b.t.Helper()
	w := b.work()
	in := incoming{link: b.link, port: port, data: append(make([]byte, 0, len(data)+1), data...), to: netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	if from != "" {
		in.from = netip.MustParseAddrPort(from)
	}
	b.handle(&in, w)
	out := append(w.out, w.after...)
	if len(w.lines) > 0 && b.Leases.journal != nil {
		done := make(chan error)
		b.Leases.journal.add(w.lines, func(err error) { done <- err })
		err := <-done
		b.stored(err, w)
		if err != nil {
			return w.out
		}
	}
	for i := range out {
		b.Record(out[i].note.event(w.wall))
	}
	return out
}

func (b *rig) Record(e fleet.Event) { b.events.Record(e) }

// one wants exactly one answer.
func (b *rig) one(p *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, outgoing) {
	b.t.Helper()
	out := b.put(serverPort, "", p.ToBytes())
	if len(out) != 1 {
		b.t.Fatalf("%d answers to %s, want 1; events: %+v", len(out), p.MessageType(), b.events.all)
	}
	return read(b.t, out[0].data), out[0]
}

func (b *rig) none(p *dhcpv4.DHCPv4) {
	b.t.Helper()
	if out := b.put(serverPort, "", p.ToBytes()); len(out) != 0 {
		b.t.Fatalf("%s is answered with %s, want silence", p.MessageType(), read(b.t, out[0].data))
	}
}

func read(t *testing.T, data []byte) *dhcpv4.DHCPv4 {
	t.Helper()
	p, err := dhcpv4.FromBytes(data)
	if err != nil {
		t.Fatalf("the answer is no packet: %v", err)
	}
	return p
}

const mac1, mac2 = "52:54:00:00:00:01", "52:54:00:00:00:02"

// from makes a client's packet.
func from(mac string, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	hw, _ := net.ParseMAC(mac)
	p, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(hw), dhcpv4.WithMessageType(kind)}, mods...)...)
	if err != nil {
		panic(err)
	}
	return p
}

func with(code uint8, value ...byte) dhcpv4.Modifier {
	return func(p *dhcpv4.DHCPv4) { p.Options[code] = value }
}

func withText(code uint8, value string) dhcpv4.Modifier { return with(code, []byte(value)...) }

func withIP(code uint8, ip string) dhcpv4.Modifier { return with(code, addr(ip).AsSlice()...) }

func ciaddr(ip string) dhcpv4.Modifier {
	return func(p *dhcpv4.DHCPv4) { p.ClientIPAddr = addr(ip).AsSlice() }
}

// lease takes a client all the way to an address.
func (b *rig) lease(mac string) netip.Addr {
	b.t.Helper()
	offer, _ := b.one(from(mac, dhcpv4.MessageTypeDiscover))
	ack, _ := b.one(from(mac, dhcpv4.MessageTypeRequest, withIP(50, toAddr(offer.YourIPAddr).String()), withIP(54, self.String())))
	if ack.MessageType() != dhcpv4.MessageTypeAck {
		b.t.Fatalf("got %s, want an ACK", ack.MessageType())
	}
	return toAddr(ack.YourIPAddr)
}

func has(t *testing.T, list []fleet.Event, words string) {
	t.Helper()
	for _, e := range list {
		if strings.Contains(e.Problem+" "+e.Text, words) {
			return
		}
	}
	t.Errorf("no event says %q: %+v", words, list)
}

var network2, network3 = netip.MustParsePrefix("10.8.0.0/24"), netip.MustParsePrefix("10.7.0.0/24")

var network3b = netip.MustParsePrefix("10.6.0.0/16")
