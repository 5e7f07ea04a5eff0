package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"slipway/internal/fleet"
)

func contextWithCancel() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

func TestBadNetworks(t *testing.T) {
	want := content(150_000)
	for _, single := range []bool{false, true} {
		for _, n := range []struct {
			name        string
			lose, twice float64
			delay       time.Duration
		}{
			{"good", 0, 0, 0},
			{"loses a tenth", 0.1, 0, 0},
			{"doubles a third", 0, 0.33, 0},
			{"reorders", 0, 0, 20 * time.Millisecond},
			{"all of it", 0.05, 0.2, 20 * time.Millisecond},
		} {
			for _, terms := range [][2]int{{512, 1}, {1468, 1}, {1468, 4}, {1024, 16}, {1468, 64}, {8, 3}} {
				t.Run(fmt.Sprintf("%s/single=%t/%dx%d", n.name, single, terms[0], terms[1]), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := newMesh(uint64(terms[0] * terms[1]))
						m.lose, m.twice, m.delay = n.lose, n.twice, n.delay
						l := &diary{}
						data := want
						if terms[0] == 8 {
							data = want[:8001]
						}
						defer serveMesh(t, m, &Server{Open: folder(map[string][]byte{"f": data}), Sink: l, SinglePort: single, GiveUp: time.Minute})()
						got, err := download(m.open("10.0.0.2", 2070), "f", terms[0], terms[1])
						if err != nil || !bytes.Equal(got, data) {
							t.Fatalf("got %d of %d bytes: %v", len(got), len(data), err)
						}
						// A last acknowledgement that was lost is not repeated by this client.
						time.Sleep(90 * time.Second)
						if len(l.of(fleet.KindTFTPDone))+len(l.of(fleet.KindTFTPAbort)) == 0 {
							t.Errorf("the end was not told: %+v", l.events)
						}
						if n.lose == 0 && len(l.of(fleet.KindTFTPDone)) != 1 {
							t.Errorf("the end was told as %+v", l.events)
						}
					})
				})
			}
		}
	}
}

// TestApprentice doubles every packet: the server must not send every block
// twice for that (RFC 1123, 4.2.3.1), although this client says again what it has
// with every block that comes twice.
func TestApprentice(t *testing.T) {
	for _, window := range []int{1, 4, 16} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh(7)
			m.twice = 1
			data := content(1000 * 512)
			defer serveMesh(t, m, &Server{Open: folder(map[string][]byte{"f": data}), Sink: &diary{}})()
			got, err := download(m.open("10.0.0.2", 2070), "f", 511, window)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("got %d bytes: %v", len(got), err)
			}
			blocks := len(data)/511 + 1
			if sent := m.sent[opData]; sent >= blocks*2 {
				t.Errorf("window %d: %d packets for %d blocks", window, sent, blocks)
			}
		})
	}
}

// TestBlockNumbersWrap sends more than 65535 blocks.
func TestBlockNumbersWrap(t *testing.T) {
	for _, window := range []int{1, 7} {
		data := content(8*140_000 + 3)
		now := time.Now()
		x := newTransfer(now, Bytes(data), negotiate([]option{{"blksize", "8"}, {"windowsize", fmt.Sprint(window)}}, -1, 1468))
		out := outbox{first: time.Second}
		out.reset()
		x.open(now, time.Second, &out)
		var got []byte
		for s, number := running, uint16(0); s == running; {
			out.reset()
			s = x.receive(now, appendHeader(nil, opAck, number), &out)
			for _, p := range out.packets {
				number++
				if n := binary.BigEndian.Uint16(p.data[2:]); n != number {
					t.Fatalf("block %d came as %d", number, n)
				}
				got = append(got, p.data[4:]...)
			}
			if len(out.packets) == 0 && s == running {
				t.Fatalf("nothing was sent after block %d, %d bytes", number, len(got))
			}
		}
		if !bytes.Equal(got, data) || x.received() != int64(len(data)) {
			t.Errorf("window %d: got %d of %d bytes", window, len(got), len(data))
		}
	}
}

// TestSizeProbe is what PXE ROMs do: ask for the size, refuse the rest with an
// error, and ask again from the same port; the error may come late.
func TestSizeProbe(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, single := range []bool{false, true} {
			if late && single {
				continue // one port is one queue: what comes late there ends the new transfer
			}
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(1)
				data := content(20_000)
				l := &diary{}
				s := &Server{Open: folder(map[string][]byte{"f": data}), Sink: l, SinglePort: single}
				defer serveMesh(t, m, s)()
				c := m.open("10.0.0.2", 2070)
				c.send(rrq("f", "tsize", "0", "blksize", "1468"), server69)
				p, ok := c.receive(time.Second)
				if !ok || string(p.data) != "\x00\x06tsize\x0020000\x00blksize\x001468\x00" {
					t.Fatalf("the options were answered by %q", p.data)
				}
				refusal := appendError(nil, errOptions, "just asking")
				if late {
					defer time.AfterFunc(3*time.Millisecond, func() { c.send(refusal, p.peer) }).Stop()
				} else {
					c.send(refusal, p.peer)
				}
				got, err := download(c, "f", 1468, 1)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("late=%t single=%t: got %d bytes: %v", late, single, len(got), err)
				}
				time.Sleep(time.Second)
				if len(l.of(fleet.KindTFTPProbe)) != 1 || len(l.of(fleet.KindTFTPDone)) != 1 {
					t.Errorf("late=%t single=%t: told as %+v", late, single, l.events)
				}
				for _, e := range l.events {
					if e.Problem != "" {
						t.Errorf("a probe is no problem: %+v", e)
					}
				}
			})
		}
	}
}

func TestAnswersToOtherRequests(t *testing.T) {
	for _, c := range []struct {
		name    string
		request []byte
		answer  string
	}{
		{"missing", rrq("none"), "\x00\x05\x00\x01no such file\x00"},
		{"leaves the root", rrq("../../etc/passwd"), "\x00\x05\x00\x01no such file\x00"},
		{"leaves the root with backslashes", rrq(`\..\..\etc\passwd`), "\x00\x05\x00\x01no such file\x00"},
		{"not for it", rrq("private"), "\x00\x05\x00\x02not for this client\x00"},
		{"write", append([]byte{0, opWrite}, "f\x00octet\x00"...), "\x00\x05\x00\x02this server takes no files\x00"},
		{"mail", append([]byte{0, opRead}, "f\x00mail\x00"...), "\x00\x05\x00\x04the mode must be octet\x00"},
		{"no mode", append([]byte{0, opRead}, "f\x00"...), "\x00\x05\x00\x04not understood\x00"},
		{"leading slash", rrq("/f"), "\x00\x03\x00\x01data"},
		{"backslash", rrq(`\d\g`), "\x00\x03\x00\x01more"},
		{"trailing 0xFF", rrq("f\xff\xff"), "\x00\x03\x00\x01data"},
		{"trailing spaces", rrq("f  "), "\x00\x03\x00\x01data"},
		{"text", append([]byte{0, opRead}, "text\x00NetASCII\x00"...), "\x00\x03\x00\x01a\r\nb\r\x00c"},
		{"no last zero", append([]byte{0, opRead}, "f\x00octet"...), "\x00\x03\x00\x01data"},
		{"options in capitals", append([]byte{0, opRead}, "f\x00OCTET\x00BlkSize\x0099999\x00TSIZE\x000\x00"...), "\x00\x06tsize\x004\x00"},
		{"block beyond the MTU", rrq("f", "blksize", "65464"), "\x00\x06blksize\x001468\x00"},
		{"unknown options", rrq("f", "multicast", "", "blksize", "7", "utimeout", "12"), "\x00\x03\x00\x01data"},
		{"timeout", rrq("f", "timeout", "3", "windowsize", "65535"), "\x00\x06timeout\x003\x00windowsize\x0064\x00"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh(1)
			open := folder(map[string][]byte{"f": []byte("data"), "d/g": []byte("more"), "text": []byte("a\nb\rc")})
			s := &Server{Sink: &diary{}, Open: func(ctx context.Context, q Request) (Answer, error) {
				if q.Name == "private" {
					return Answer{}, fs.ErrPermission
				}
				return open(ctx, q)
			}}
			defer serveMesh(t, m, s)()
			e := m.open("10.0.0.2", 2070)
			e.send(c.request, server69)
			if p, ok := e.receive(100 * time.Millisecond); !ok || string(p.data) != c.answer {
				t.Errorf("%s: got %q, want %q", c.name, p.data, c.answer)
			}
		})
	}
}

// TestSilence: a client that vanished is sent less and less, and then nothing.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(1)
		l := &diary{}
		s := &Server{Open: folder(map[string][]byte{"f": content(5000)}), Sink: l}
		defer serveMesh(t, m, s)()
		c := m.open("10.0.0.2", 2070)
		c.send(rrq("f"), server69)
		time.Sleep(10 * time.Minute)
		if n := m.sent[opData]; n < 4 || n > 12 {
			t.Errorf("%d packets were sent to a client that is gone", n)
		}
		if e := l.of(fleet.KindTFTPAbort); len(e) != 1 || !strings.Contains(e[0].Problem, "nothing was heard for 30s") {
			t.Errorf("told as %+v", l.events)
		}
	})
}

// TestLimits: one client cannot take all places, and all of them not more than
// there are.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(1)
		l := &diary{}
		s := &Server{Open: folder(map[string][]byte{"f": content(5000)}), Sink: l, PerClient: 3, Transfers: 5}
		defer serveMesh(t, m, s)()
		answered := 0
		for i := range 20 {
			c := m.open(fmt.Sprintf("10.0.1.%d", i/10), uint16(3000+i))
			c.send(rrq("f"), server69)
			if _, ok := c.receive(100 * time.Millisecond); ok {
				answered++
			}
		}
		if answered != 5 || len(l.of(KindBusy)) != 15 {
			t.Errorf("%d were answered, %d told as busy", answered, len(l.of(KindBusy)))
		}
		time.Sleep(time.Minute)
		c := m.open("10.0.1.0", 4000)
		if got, err := download(c, "f", 512, 1); err != nil || len(got) != 5000 {
			t.Errorf("the places were not freed: %v", err)
		}
	})
}

// TestRequestsTwice: the answer to a request was lost, so it comes again; and
// a client that starts over gets the file from its beginning.
func TestRequestsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(1)
		l := &diary{}
		opened := 0
		open := folder(map[string][]byte{"f": content(5000), "g": []byte("g")})
		var mu sync.Mutex
		s := &Server{Sink: l, Open: func(ctx context.Context, q Request) (Answer, error) {
			mu.Lock()
			opened++
			mu.Unlock()
			return open(ctx, q)
		}}
		defer serveMesh(t, m, s)()
		c := m.open("10.0.0.2", 2070)
		lost := true
		m.watch = func(from, to netip.AddrPort, b []byte) bool {
			drop := lost && binary.BigEndian.Uint16(b) == opData
			lost = lost && !drop
			return drop
		}
		c.send(rrq("f"), server69)
		time.Sleep(100 * time.Millisecond)
		c.send(rrq("f"), server69)
		p, ok := c.receive(50 * time.Millisecond)
		if !ok || opened != 1 || p.data[3] != 1 {
			t.Fatalf("the request that came twice: opened %d times, %v", opened, ok)
		}
		c.send(appendHeader(nil, opAck, 1), p.peer)
		c.receive(50 * time.Millisecond)
		// One that was late must not end what is being read.
		c.send(rrq("f"), server69)
		if p, ok := c.receive(50 * time.Millisecond); ok || opened != 1 {
			t.Fatalf("a late request was answered by %q", p.data)
		}
		if got, err := download(c, "g", 512, 1); err != nil || string(got) != "g" {
			t.Errorf("starting over: %q, %v", got, err)
		}
		time.Sleep(time.Second)
		if a, d := l.of(fleet.KindTFTPAbort), l.of(fleet.KindTFTPDone); len(a) != 1 || len(d) != 1 {
			t.Errorf("told as %+v", l.events)
		}
	})
}

// shrinking is a file that is shorter than it says.
type shrinking struct{ File }

func (s shrinking) Size() int64 { return s.File.Size() + 1000 }

func TestSizesThatDoNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(1)
		l := &diary{}
		size := 5000
		s := &Server{Sink: l, Open: func(ctx context.Context, q Request) (Answer, error) {
			if q.Name == "short" {
				return Answer{File: shrinking{Bytes(content(size))}}, nil
			}
			return Answer{File: Bytes(content(size))}, nil
		}}
		defer serveMesh(t, m, s)()
		c := m.open("10.0.0.2", 2070)
		if _, err := download(c, "short", 512, 1); err == nil || !strings.Contains(err.Error(), "cannot be read to its end") {
			t.Errorf("a file that became shorter: %v", err)
		}
		if e := l.of(fleet.KindTFTPError); len(e) != 1 || !strings.Contains(e[0].Problem, "it has 5000 bytes, 6000 were announced") {
			t.Errorf("told as %+v", e)
		}
		c.send(rrq("f", "tsize", "0"), server69)
		p, _ := c.receive(time.Second)
		c.send(appendError(nil, 0, ""), p.peer)
		time.Sleep(10 * time.Millisecond)
		size = 6000
		if _, err := download(c, "f", 512, 1); err != nil {
			t.Error(err)
		}
		starts := l.of(fleet.KindTFTPStart)
		if last := starts[len(starts)-1]; !strings.Contains(last.Problem, "6000 bytes, the client was told 5000") {
			t.Errorf("told as %+v", last)
		}
	})
}
