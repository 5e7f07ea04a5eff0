package logs

import (
	"context"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"slipway/internal/fleet"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Line{
		"<13>Jan  2 15:04:05 node1 sshd[42]: Accepted key": {"notice", "node1", "sshd", "Accepted key"},
		"<4>kernel: r8169: no firmware":                    {"warning", "", "kernel", "r8169: no firmware"},
		"<165>1 2026-03-01T12:00:00.003Z node1 anaconda 8710 - [x@1 a=\"b\\\"] c\"][y] \ufeffinstalling packages": {"notice", "node1", "anaconda", "installing packages"},
		"<34>1 - - su - ID47 - 'su root' failed": {"crit", "", "su", "'su root' failed"},
		"plain words":                            {"", "", "", "plain words"},
		"<999>x":                                 {"", "", "", "<999>x"},
		"<13>":                                   {"notice", "", "", ""},
		"<13>1 ":                                 {"notice", "", "", "1"},
		"<3>a\x1b[31mb\x00c":                     {"err", "", "", "a·[31mb·c"},
		"<3>Jan  2 15:04:05 x: hi":               {"err", "", "x", "hi"},
		"":                                       {},
	} {
		if got := Parse([]byte(in)); got != want {
			t.Errorf("%q\n got %+v\nwant %+v", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"<13>Jan  2 15:04:05 h p[1]: t", "<165>1 2026-03-01T12:00:00Z h a 1 - [x a=\"\\]\"] m", "<", "<1>", "<13>1 - - - - [", "\xff\xfe"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := Parse(raw)
		if len(l.Text) > maxText || len(l.Host) > 255 || len(l.Program) > 128 {
			t.Errorf("too long: %+v", l)
		}
		for _, s := range []string{l.Text, l.Host, l.Program} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("not printable: %q", s)
			}
		}
	})
}

type sink struct {
	mu     sync.Mutex
	events []fleet.Event
}

func (s *sink) Record(e fleet.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) list() []fleet.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]fleet.Event(nil), s.events...)
}

func TestReceiver(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &sink{}
	r := &Receiver{Sink: s, Who: func(netip.Addr) (string, string) { return "52:54:00:00:00:01", "web" }}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, conn) }()
	out, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	out.Write([]byte("<2>kernel: Kernel panic - not syncing: VFS"))
	for end := time.Now().Add(10 * time.Second); len(s.list()) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	events := s.list()
	if len(events) != 1 || events[0].Machine != "web" || events[0].Fields[fleet.FieldProgram] != "kernel" {
		t.Fatalf("%+v", events)
	}
	if a := fleet.Why("web", events, time.Now()); a.Cause != "panic" {
		t.Errorf("a panic by syslog is told as %+v", a)
	}
}

func TestFloodsAreBounded(t *testing.T) {
	now, s := time.Unix(1000, 0), &sink{}
	r := &Receiver{Sink: s, PerSecond: 10, Now: func() time.Time { return now }}
	from := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		r.Take(from, []byte("<13>x: y"))
	}
	if n := len(s.list()); n != 10 {
		t.Errorf("%d lines were taken in a second", n)
	}
	now = now.Add(time.Second)
	r.Take(from, []byte("<13>x: y"))
	if events := s.list(); len(events) != 12 || !strings.Contains(events[10].Text, "990") {
		t.Errorf("nobody says what was left out: %+v", events[10:])
	}
}

func TestHook(t *testing.T) {
	s, now := &sink{}, time.Unix(1000, 0)
	r := &Receiver{Sink: s, PerSecond: 1000, Now: func() time.Time { return now }}
	post := func(method, body string) int {
		w := httptest.NewRecorder()
		r.Post(w, httptest.NewRequest(method, "/n/x/logs?name=packaging.log", strings.NewReader(body)), "52:54:00:00:00:01", "web")
		return w.Code
	}
	if code := post("POST", "one\n\n<11>anaconda: two\n"); code != 204 || len(s.list()) != 2 {
		t.Errorf("%d, %+v", code, s.list())
	}
	one, two := s.list()[0], s.list()[1]
	if one.Machine != "web" || one.Client == "" || one.Fields[fleet.FieldProgram] != "packaging.log" || two.Fields[fleet.FieldProgram] != "anaconda" || two.Fields[fleet.FieldSeverity] != "err" {
		t.Errorf("%+v, %+v", one, two)
	}
	if code := post("GET", ""); code != 405 {
		t.Errorf("GET: %d", code)
	}
	*s = sink{}
	if code := post("POST", strings.Repeat("much of it\n", 100_000)+"the cause\n"); code != 204 || len(s.list()) != maxLines+1 ||
		!strings.Contains(s.list()[0].Text, "only the last") || s.list()[maxLines].Text != "the cause" {
		t.Errorf("a long log: %d, %d lines, %+v", code, len(s.list()), s.list()[:1])
	}
	*s = sink{}
	post("POST", `{"name":"subiquity/Install/install","description":"installing system","event_type":"finish","result":"FAIL","origin":"curtin"}`)
	if e := s.list(); len(e) != 1 || e[0].Text != "finish: FAIL: installing system" || e[0].Fields[fleet.FieldProgram] != "subiquity/Install/install" || e[0].Fields[fleet.FieldSeverity] != "err" {
		t.Errorf("a step of Subiquity: %+v", e)
	}
}
