package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// FuzzRequest: whatever is asked, the name stays below the root, what is
// granted is within limits, and the answer is one packet of ours.
func FuzzRequest(f *testing.F) {
	f.Add(rrq("boot/ipxe.efi", "blksize", "1468", "tsize", "0", "windowsize", "4", "timeout", "3"))
	f.Add(rrq(`\boot\..\..\x`))
	f.Add(append(rrq("f\xff"), 0xff, 0xff))
	f.Add([]byte{0, 1, 0, 0, 0, 0})
	f.Add([]byte{0, 2, 'a', 0, 'o'})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &engine{Server: (&Server{}).withDefaults(), asked: nullConn{}, active: map[netip.AddrPort]*transfer{}, opening: map[netip.AddrPort]bool{}, clients: map[netip.Addr]int{}}
		e.ctx, e.cancel = contextWithCancel()
		asked := make(chan Request, 1)
		e.Open = func(_ context.Context, q Request) (Answer, error) { asked <- q; return Answer{}, nil }
		out := outbox{first: time.Second}
		out.reset()
		e.ask(packet{data: b, peer: netip.MustParseAddrPort("10.0.0.2:1")}, &out)
		e.work.Wait()
		select {
		case q := <-asked:
			if strings.HasPrefix(q.Name, "/") || strings.Contains("/"+q.Name+"/", "/../") || q.Name == "" || strings.Contains(q.Name, "\x00") {
				t.Errorf("the name is %q", q.Name)
			}
		default:
			if len(out.packets) > 1 || len(out.packets) == 1 && binary.BigEndian.Uint16(out.packets[0].data) != opError {
				t.Errorf("answered by %v", out.packets)
			}
		}
		if r, err := parseRequest(b); err == nil {
			terms := negotiate(r.options, 1000, ethernetIPv4)
			if terms.block < minBlock || terms.block > ethernetIPv4 || terms.window < 1 || terms.window > maxWindow || len(appendOACK(nil, terms.answer)) > plainBlock {
				t.Errorf("granted %+v", terms)
			}
		}
	})
}

type nullConn struct{}

func (nullConn) read([]packet) (int, error) { return 0, net.ErrClosed }
func (nullConn) write([]packet) error       { return nil }
func (nullConn) close() error               { return nil }

// FuzzClient: whatever a client says, in whatever order, it gets only blocks of
// the file, no more than it acknowledged earns, and the transfer's numbers hold.
func FuzzClient(f *testing.F) {
	f.Add(uint16(4), uint16(16), []byte{0, 4, 0, 0, 0, 4, 0, 4, 0, 4, 0, 8})
	f.Add(uint16(1), uint16(512), []byte{0, 4, 0, 1, 0, 5, 0, 0})
	f.Fuzz(func(t *testing.T, window, block uint16, said []byte) {
		data := content(4000)
		now := time.Now()
		opts := []option{{"windowsize", strings.TrimLeft(string(rune('0'+window%10)), "0")}, {"blksize", []string{"8", "100", "512", "1468"}[block%4]}}
		x := newTransfer(now, Bytes(data), negotiate(opts, 4000, 1468))
		out := outbox{first: time.Second}
		out.reset()
		s := x.open(now, time.Second, &out)
		for len(said) >= 4 && s == running {
			acked, before := x.acked, len(out.packets)
			switch said[0] {
			case 1:
				now = now.Add(time.Duration(said[1]) * 100 * time.Millisecond)
				s = x.tick(now, time.Minute, &out)
			default:
				s = x.receive(now, said[:4], &out)
			}
			said = said[4:]
			if x.acked < acked || x.acked > x.sent || x.sent > x.last || x.sent-x.acked > int64(x.terms.window) {
				t.Fatalf("acknowledged %d of %d sent of %d", x.acked, x.sent, x.last)
			}
			if n := len(out.packets) - before; n > x.terms.window {
				t.Fatalf("%d packets in answer to one", n)
			}
			for _, p := range out.packets[before:] {
				if binary.BigEndian.Uint16(p.data) == opData && !bytes.Contains(data, p.data[4:]) {
					t.Fatalf("sent what is not in the file")
				}
			}
		}
		if s == complete && x.received() != 4000 {
			t.Fatalf("complete after %d bytes", x.received())
		}
	})
}
