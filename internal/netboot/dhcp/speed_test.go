package dhcp

import (
	"bytes"
	"net/netip"
	"testing"

	"slipway/internal/fleet"
)

// A whole exchange of one new client without the network and the disk: two
// packets read, two answered, four events.
func BenchmarkExchange(b *testing.B) {
	s := &Server{Policy: &free{}, Events: fleet.SinkFunc(func(fleet.Event) {}),
		Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Pools: []Range{{addr("10.0.0.10"), addr("10.15.0.0")}}, Router: self}}}
	if err := s.begin(); err != nil {
		b.Fatal(err)
	}
	l := newLink(s, Link{Name: "test0", Address: addr("10.0.0.1")})
	one, two := discover(mac1, pxe7...).ToBytes(), from(mac1, 3, append(pxe7, withIP(50, "10.0.0.10"))...).ToBytes()
	at := bytes.Index(two, []byte{50, 4, 10, 0, 0, 10}) + 2
	in := &incoming{link: l, port: serverPort}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, p := range [][]byte{one, two} {
			w := s.work()
			p[31], p[32], p[33] = byte(i>>16), byte(i>>8), byte(i)
			in.data = append(in.data[:0], p...)
			s.handle(in, w)
			for _, o := range append(w.out, w.after...) {
				o.note.event(w.wall)
				copy(two[at:at+4], o.data[16:20]) // the next request names what was offered
			}
		}
	}
}

// free is a policy that gives everybody the same.
type free struct{}

func (*free) Decide(*Request) Decision { return Decision{Boot: boot} }
func (*free) Reserved(netip.Addr) bool { return false }
