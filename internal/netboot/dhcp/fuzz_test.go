package dhcp

import (
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Whatever arrives on the two ports: no panic, at most one answer, which is a
// packet, for the same client, within the size that the client takes.
func FuzzHandle(f *testing.F) {
	for _, mods := range [][]dhcpv4.Modifier{nil, pxe7, http7, ipxe, ipxeROM,
		{with(82, 1, 2, 'a', 'b', 5, 4, 10, 9, 0, 0), func(p *dhcpv4.DHCPv4) { p.GatewayIPAddr = addr("10.9.0.3").AsSlice() }},
		{with(52, 3), func(p *dhcpv4.DHCPv4) { p.BootFileName = "\x0c\x02ab\xff" }},
		{with(175, 0xeb, 200, 1), with(77, 255), with(93, 1), with(97, 1)},
	} {
		for _, kind := range []dhcpv4.MessageType{1, 3, 4, 7, 8} {
			p := from(mac1, kind, append(mods, withIP(50, "10.9.0.100"))...)
			f.Add(p.ToBytes(), false)
			f.Add(p.ToBytes(), true)
		}
	}
	f.Add([]byte{1, 1, 6, 0}, false)
	f.Fuzz(func(t *testing.T, data []byte, pxe bool) {
		if len(data) > maxPacket {
			return
		}
		b := newRig(t, nil)
		port := serverPort
		if pxe {
			port = bootPort
		}
		w := b.work()
		in := incoming{link: b.link, port: port, from: netip.MustParseAddrPort("10.9.0.50:68"), data: append(make([]byte, 0, len(data)+1), data...)}
		b.handle(&in, w)
		out := append(w.out, w.after...)
		if len(out) > 1 {
			t.Fatalf("%d answers to one packet", len(out))
		}
		for _, o := range out {
			a := read(t, o.data)
			if a.OpCode != dhcpv4.OpcodeBootReply || len(o.data) > 1472 || a.ClientHWAddr.String() != dhcpv4HW(data) {
				t.Fatalf("%d bytes: %s", len(o.data), a.Summary())
			}
			o.note.event(w.wall)
		}
		// Its lines can be read again.
		for _, line := range splitLines(w.lines) {
			if _, ok := parseLine(line, w.now, w.wall); !ok {
				t.Fatalf("the journal got %q", line)
			}
		}
	})
}

func dhcpv4HW(data []byte) string {
	p, err := dhcpv4.FromBytes(append(append([]byte{}, data...), 255))
	if err != nil {
		return "?"
	}
	return p.ClientHWAddr.String()
}

// A journal is read again after anything happened to its disk.
func FuzzJournalLine(f *testing.F) {
	c := newTestClock()
	e := &entry{addr: 0x0a090064, state: LeaseActive, client: mac1, machine: "web", hostname: "h", start: 5, end: c.mono}
	f.Add(e.appendLine(nil, c.mono, c.wall))
	f.Add([]byte("00000000\tactive\t1\t2\t10.0.0.1\t\"\"\t\"\"\t\"\"\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, ok := parseLine(line, c.mono, c.wall); ok {
			again := e.appendLine(nil, c.mono, c.wall)
			if e2, ok := parseLine(again[:len(again)-1], c.mono, c.wall); !ok || e2.addr != e.addr || e2.client != e.client {
				t.Fatalf("%q is written as %q", line, again)
			}
		}
	})
}

func splitLines(b []byte) (out [][]byte) {
	for len(b) > 0 {
		for i, c := range b {
			if c == '\n' {
				out = append(out, b[:i])
				b = b[i+1:]
				break
			}
		}
	}
	return out
}
