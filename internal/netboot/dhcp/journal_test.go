package dhcp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// kept is a rig whose leases are in a file.
func kept(t *testing.T, path string, change func(*Server)) *rig {
	t.Helper()
	l, err := OpenLeases(path)
	if err != nil {
		t.Fatal(err)
	}
	b := newRig(t, func(s *Server) {
		s.Leases, s.Clock = l, Clock{}
		s.Subnets[0].Pools = []Range{{addr("10.9.0.10"), addr("10.9.0.200")}}
		if change != nil {
			change(s)
		}
	})
	t.Cleanup(func() { l.Close() })
	return b
}

func TestLeasesSurviveRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "leases")
	b := kept(t, path, nil)
	b.policy.machines[mac1] = Decision{Machine: "wéb \"1\"", Address: addr("10.9.0.5")}
	b.lease(mac1)
	want := b.lease(mac2)
	b.one(discover("52:54:00:00:00:03")) // an offer is no promise
	if err := b.Leases.Close(); err != nil {
		t.Fatal(err)
	}
	again := kept(t, path, nil)
	list := again.Leases.List()
	if len(list) != 2 || list[0].Machine != "wéb \"1\"" || list[0].Address != addr("10.9.0.5") || list[0].State != LeaseActive ||
		time.Until(list[0].End) < 58*time.Minute {
		t.Fatalf("after a restart: %+v", list)
	}
	if got := again.lease(mac2); got != want {
		t.Errorf("it gets %s, had %s", got, want)
	}
	if got, ok := again.Leases.Lookup(want); !ok || got.Client != mac2 {
		t.Errorf("lookup of %s: %+v", want, got)
	}
}

func TestTwoServersOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	kept(t, path, nil)
	if _, err := OpenLeases(path); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server opens the same file: %v", err)
	}
}

// A crash may leave any part of the last write: what was whole before counts.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leases")
	b := kept(t, path, nil)
	for i := range 5 {
		b.lease(fmt.Sprintf("52:54:00:00:02:%02x", i))
	}
	b.Leases.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		p := filepath.Join(dir, "torn")
		if err := os.WriteFile(p, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLeases(p)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		lines := max(0, bytes.Count(whole[:cut], []byte{'\n'})-1)
		if got := len(l.List()); got != lines || l.Damaged() != 0 {
			t.Fatalf("cut at %d: %d leases and %d damaged, want %d and none", cut, got, l.Damaged(), lines)
		}
		// It goes on from there.
		e := &entry{addr: 1, state: LeaseActive, client: "x", end: l.clock.Mono() + time.Hour}
		done := make(chan error, 1)
		l.journal.add(e.appendLine(nil, l.clock.Mono(), l.clock.Wall()), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.Close()
		if l, err = OpenLeases(p); err != nil || len(l.List()) != lines+1 {
			t.Fatalf("cut at %d, written on: %v, %d leases", cut, err, len(l.List()))
		}
		l.Close()
	}
}

func TestDamagedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	b := kept(t, path, nil)
	for i := range 5 {
		b.lease(fmt.Sprintf("52:54:00:00:02:%02x", i))
	}
	b.Leases.Close()
	data, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(data, []byte{'\n'})
	lines[2][20] ^= 1
	lines[4] = append(bytes.Repeat([]byte("long "), 50_000), '\n')
	os.WriteFile(path, bytes.Join(lines, nil), 0o644)
	l, err := OpenLeases(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(l.List()) != 3 || l.Damaged() == 0 {
		t.Errorf("%d leases, %d damaged lines; want the 3 that are whole", len(l.List()), l.Damaged())
	}
	other := filepath.Join(t.TempDir(), "other")
	os.WriteFile(other, []byte("lease 10.0.0.1 {\n"), 0o644)
	if _, err := OpenLeases(other); err == nil || !strings.Contains(err.Error(), "no journal of leases") {
		t.Errorf("a foreign file: %v", err)
	}
	if data, _ := os.ReadFile(other); string(data) != "lease 10.0.0.1 {\n" {
		t.Error("a foreign file was changed")
	}
}

func TestCompaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	b := kept(t, path, nil)
	b.Leases.journal.limit = 10_000
	for range 40 {
		for i := range 10 {
			b.lease(fmt.Sprintf("52:54:00:00:02:%02x", i))
		}
		b.Leases.journal.limit = min(b.Leases.journal.limit, 10_000)
	}
	b.Leases.Close()
	info, _ := os.Stat(path)
	if info.Size() > 12_000 {
		t.Errorf("the journal of 10 leases has %d bytes after 400 changes", info.Size())
	}
	l, err := OpenLeases(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(l.List()) != 10 {
		t.Errorf("%d leases, want 10", len(l.List()))
	}
}

func TestClockJump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	c := newTestClock()
	l, err := openLeases(path, c.clock())
	if err != nil {
		t.Fatal(err)
	}
	b := newRig(t, func(s *Server) { s.Leases, s.Clock = l, c.clock() })
	got := b.lease(mac1)
	c.set(10 * 365 * 24 * time.Hour)
	b.lookAtClock()
	has(t, b.events.of("dhcp.clock"), "the server's clock was set by 87600h")
	if list := l.List(); list[0].State != LeaseActive {
		t.Errorf("a clock that jumps ended a lease: %+v", list)
	}
	if other := b.lease(mac2); other == got {
		t.Error("its address was given to another")
	}
	c.pass(10 * time.Minute)
	c.set(-20 * 365 * 24 * time.Hour)
	b.lookAtClock()
	l.Close()
	// The file has the time that is left, in the time of the new clock.
	again, err := openLeases(path, c.clock())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if list := again.List(); list[0].State != LeaseActive || list[0].End.Sub(c.wall).Round(time.Minute) != 50*time.Minute {
		t.Errorf("after a jump and a restart: %+v at %s", list[0], c.wall)
	}
	c.pass(51 * time.Minute)
	if list := again.List(); list[0].State != LeaseExpired {
		t.Errorf("it does not end: %+v", list[0])
	}
}

// What was acknowledged before kill -9 is there after it. The child prints an
// address when its ACK may leave.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 5 {
		path := filepath.Join(dir, fmt.Sprint(round))
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		cmd.Env = append(os.Environ(), "SLIPWAY_DHCP_CHILD="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked := map[string]bool{}
		stopAt := 20 + rand.IntN(400)
		lines := bufio.NewScanner(out)
		for lines.Scan() && len(acked) < stopAt {
			if a, ok := strings.CutPrefix(lines.Text(), "acked "); ok {
				acked[a] = true
			}
		}
		cmd.Process.Kill()
		rest, _ := io.ReadAll(out)
		cmd.Wait()
		_ = rest
		l, err := OpenLeases(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, lease := range l.List() {
			delete(acked, lease.Address.String())
		}
		if len(acked) > 0 || l.Damaged() > 0 {
			t.Errorf("round %d, killed after %d: %d acknowledged leases are lost, %d lines damaged", round, stopAt, len(acked), l.Damaged())
		}
		l.Close()
	}
}

func TestKillChild(t *testing.T) {
	path := os.Getenv("SLIPWAY_DHCP_CHILD")
	if path == "" {
		return // it is TestKill that starts it
	}
	l, err := OpenLeases(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Leases: l, Policy: &table{}, Subnets: []Subnet{{Prefix: network3b, Pools: []Range{{addr("10.6.0.1"), addr("10.6.255.250")}}}}}
	s.begin()
	l.journal.limit = 4000 // it is rewritten again and again, too
	link := newLink(s, Link{Name: "test0", Address: addr("10.6.255.254")})
	for i := range 60_000 {
		mac := fmt.Sprintf("52:54:01:%02x:%02x:%02x", i>>16, i>>8&255, i&255)
		w := s.work()
		in := &incoming{link: link, port: serverPort, data: discover(mac).ToBytes()}
		s.handle(in, w)
		got := toAddr(read(t, w.out[0].data).YourIPAddr).String()
		in.data = from(mac, dhcpv4.MessageTypeRequest, withIP(50, got)).ToBytes()
		w = s.work()
		s.handle(in, w)
		l.journal.add(w.lines, func(err error) {
			if err == nil {
				fmt.Println("acked", got)
			}
		})
		if i%7 == 0 {
			l.journal.limit = min(l.journal.limit, 4000)
		}
	}
}

// A full disk: nobody gets a lease that would not survive, it is said once,
// and all goes on when there is room.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	b := kept(t, filepath.Join(dir, "leases"), nil)
	defer b.Leases.Close()
	b.lease(mac1)
	filler := filepath.Join(dir, "filler")
	f, _ := os.Create(filler)
	for chunk := 64 << 10; chunk > 0; chunk /= 2 {
		for {
			if _, err := f.Write(make([]byte, chunk)); err != nil {
				break
			}
		}
	}
	f.Close()
	offer, _ := b.one(discover(mac2))
	request := from(mac2, dhcpv4.MessageTypeRequest, withIP(50, toAddr(offer.YourIPAddr).String()))
	for range 100 { // until the journal needs another page
		for i := range 20 {
			b.put(serverPort, "", discover(fmt.Sprintf("52:54:00:00:04:%02x", i)).ToBytes())
			b.put(serverPort, "", from(fmt.Sprintf("52:54:00:00:04:%02x", i), dhcpv4.MessageTypeRequest, withIP(50, fmt.Sprintf("10.9.0.%d", 12+i))).ToBytes())
		}
		if len(b.events.of("dhcp.storage")) > 0 {
			break
		}
	}
	has(t, b.events.of("dhcp.storage"), "make room on that disk")
	if out := b.put(serverPort, "", request.ToBytes()); len(out) != 0 {
		t.Error("a lease was acknowledged that is not on the disk")
	}
	if n := len(b.events.of("dhcp.storage")); n != 1 {
		t.Errorf("it is said %d times that the disk is full, want once", n)
	}
	os.Remove(filler)
	if ack, _ := b.one(request); ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("with room again: %s", ack.MessageType())
	}
	has(t, b.events.of("dhcp.storage"), "kept again")
	before := len(b.Leases.List())
	b.Leases.Close()
	l, err := OpenLeases(filepath.Join(dir, "leases"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, ok := l.Lookup(toAddr(offer.YourIPAddr)); !ok || l.Damaged() != 0 {
		t.Errorf("after a full disk: %d of %d leases, %d damaged", len(l.List()), before, l.Damaged())
	}
}
