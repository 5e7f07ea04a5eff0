package dhcp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// The judges are other people's programs, in two network namespaces of the
// test's own that a pair of interfaces joins.

func TestMain(m *testing.M) {
	if config := os.Getenv("SLIPWAY_DHCP_SERVE"); config != "" {
		serveChild(config)
		return
	}
	if relay := os.Getenv("SLIPWAY_DHCP_RELAY"); relay != "" {
		relayChild(addr(relay))
		return
	}
	os.Exit(m.Run())
}

// childConfig is a server in a namespace.
type childConfig struct {
	Mode         Mode
	Leases       string
	Pool         Range
	Boot         *Boot
	Reservations map[string]netip.Addr
	Routed       bool // also serves 10.8.0.0/24, which is behind the client
}

// serveChild serves on srv0 and prints events, one JSON a line.
func serveChild(config string) {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		panic(err)
	}
	p := &table{machines: map[string]Decision{}, others: Decision{Boot: c.Boot}}
	for mac, a := range c.Reservations {
		p.machines[mac] = Decision{Machine: "m", Address: a, Boot: c.Boot}
	}
	out := json.NewEncoder(os.Stdout)
	events := &events{}
	sink := fleet.SinkFunc(func(e fleet.Event) { events.mu.Lock(); out.Encode(e); events.mu.Unlock() })
	s := &Server{Mode: c.Mode, Links: []Link{{Name: "srv0"}}, Policy: p, Events: sink,
		Subnets: []Subnet{{Prefix: network, Pools: []Range{c.Pool}, Router: self, DNS: []netip.Addr{self}, Domain: "test", Lease: 10 * time.Minute}}}
	if c.Routed {
		s.Subnets = append(s.Subnets, Subnet{Prefix: network2, Pools: []Range{{addr("10.8.0.10"), addr("10.8.0.20")}}})
	}
	if c.Leases != "" {
		l, err := OpenLeases(c.Leases)
		if err != nil {
			fmt.Println(`{"kind":"failed","problem":` + strconv.Quote(err.Error()) + `}`)
			return
		}
		s.Leases = l
		defer l.Close()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { <-s.Ready(); sink(fleet.Event{Kind: "ready"}) }()
	if err := s.Serve(ctx); err != nil {
		sink(fleet.Event{Kind: "failed", Problem: err.Error()})
	}
}

// relayChild sends one relayed DISCOVER and prints the address that is offered.
func relayChild(relay netip.Addr) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: relay.AsSlice(), Port: serverPort})
	if err != nil {
		panic(err)
	}
	p := discover(mac2, func(p *dhcpv4.DHCPv4) { p.GatewayIPAddr = relay.AsSlice() })
	if _, err := c.WriteTo(p.ToBytes(), &net.UDPAddr{IP: self.AsSlice(), Port: serverPort}); err != nil {
		panic(err)
	}
	buf := make([]byte, maxPacket)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		panic(err)
	}
	offer, err := dhcpv4.FromBytes(buf[:n])
	if err != nil {
		panic(err)
	}
	fmt.Println(toAddr(offer.YourIPAddr))
}

// net is the pair of namespaces.
type testNet struct {
	t              *testing.T
	server, client string // names of namespaces
}

// newNet makes srv0 (10.9.0.1) and cli0 (without an address).
func newNet(t *testing.T) *testNet {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces with names")
	}
	n := &testNet{t: t, server: fmt.Sprintf("slw-dhcp-s%d", os.Getpid()), client: fmt.Sprintf("slw-dhcp-c%d", os.Getpid())}
	for _, ns := range []string{n.server, n.client} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("cannot make network namespaces: %v %s", err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	}
	n.plug()
	return n
}

// plug makes the pair of interfaces.
func (n *testNet) plug() {
	n.ip("link", "add", "srv0", "netns", n.server, "type", "veth", "peer", "name", "cli0", "netns", n.client)
	n.ip("-n", n.server, "address", "add", "10.9.0.1/24", "dev", "srv0")
	n.ip("-n", n.server, "link", "set", "lo", "up")
	n.ip("-n", n.server, "link", "set", "srv0", "up")
	n.ip("-n", n.client, "link", "set", "cli0", "address", mac1, "up")
}

func (n *testNet) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v %s", strings.Join(args, " "), err, out)
	}
}

// judge runs a program in the client's namespace; it skips where there is none.
func (n *testNet) judge(name string, args ...string) string {
	n.t.Helper()
	return n.judgeUntil(func() bool { return false }, name, args...)
}

// judgeUntil is judge for a program that does not end by itself.
func (n *testNet) judgeUntil(done func() bool, name string, args ...string) string {
	n.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
			if _, e := os.Stat(dir + name); e == nil {
				path = dir + name
			}
		}
	}
	if path == "" {
		n.t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !done() {
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
	}()
	out, err := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.client, path}, args...)...).CombinedOutput()
	if err != nil {
		out = append(out, []byte("\n"+name+": "+err.Error())...)
	}
	return string(out)
}

// child is a server process.
type child struct {
	cmd    *exec.Cmd
	t      *testing.T
	events chan fleet.Event
}

func (n *testNet) serve(c childConfig) *child {
	n.t.Helper()
	if c.Pool.First == (netip.Addr{}) {
		c.Pool = Range{addr("10.9.0.100"), addr("10.9.0.200")}
	}
	config, err := json.Marshal(c)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", n.server, os.Args[0])
	cmd.Env = append(os.Environ(), "SLIPWAY_DHCP_SERVE="+string(config))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	k := &child{cmd: cmd, t: n.t, events: make(chan fleet.Event, 10_000)}
	go func() {
		defer close(k.events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e fleet.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				k.events <- e
			}
		}
	}()
	n.t.Cleanup(k.stop)
	return k
}

func (k *child) stop() {
	k.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { k.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		k.t.Error("the server does not end when it is told to")
		k.cmd.Process.Kill()
	}
}

// until waits for an event of a kind.
func (k *child) until(kind string) fleet.Event {
	k.t.Helper()
	var seen []string
	for limit := time.After(20 * time.Second); ; {
		select {
		case e, ok := <-k.events:
			if e.Kind == kind {
				return e
			}
			if !ok {
				k.t.Fatalf("the server ended before %s; seen: %s", kind, seen)
			}
			seen = append(seen, e.Kind+" "+e.Problem)
		case <-limit:
			k.t.Fatalf("no event %s within 20 s; seen: %s", kind, seen)
		}
	}
}

func TestJudges(t *testing.T) {
	n := newNet(t)
	s := n.serve(childConfig{Boot: boot, Leases: filepath.Join(t.TempDir(), "leases"), Reservations: map[string]netip.Addr{mac2: addr("10.9.0.50")}})
	s.until("ready")
	t.Run("udhcpc", func(t *testing.T) {
		n.t = t
		out := n.judge("udhcpc", "-n", "-q", "-f", "-i", "cli0", "-s", "/bin/true")
		if !regexp.MustCompile(`lease of 10\.9\.0\.1\d\d obtained`).MatchString(out) {
			t.Errorf("udhcpc says:\n%s", out)
		}
	})
	t.Run("dhclient", func(t *testing.T) {
		n.t = t
		dir := t.TempDir()
		file := filepath.Join(dir, "leases")
		out := n.judgeUntil(func() bool { lease, _ := os.ReadFile(file); return strings.Contains(string(lease), "}") },
			"dhclient", "-1", "-d", "-sf", "/bin/true", "-lf", file, "-pf", filepath.Join(dir, "pid"), "-cf", "/dev/null", "cli0")
		lease, _ := os.ReadFile(file)
		for _, want := range []string{"option routers 10.9.0.1;", "option domain-name-servers 10.9.0.1;", `option domain-name "test";`, "option dhcp-lease-time 600;", "option dhcp-server-identifier 10.9.0.1;"} {
			if !strings.Contains(string(lease), want) {
				t.Errorf("dhclient's lease has no %q:\n%s\n%s", want, lease, out)
			}
		}
	})
	t.Run("nmap", func(t *testing.T) {
		n.t = t
		n.ip("-n", n.client, "address", "add", "10.9.0.250/24", "dev", "cli0")
		out := n.judge("nmap", "--script", "broadcast-dhcp-discover", "--script-args", "broadcast-dhcp-discover.timeout=1", "-e", "cli0")
		for _, want := range []string{"IP Offered: 10.9.0.", "DHCP Message Type: DHCPOFFER", "Server Identifier: 10.9.0.1", "Router: 10.9.0.1"} {
			if !strings.Contains(out, want) {
				t.Errorf("nmap's answer has no %q:\n%s", want, out)
			}
		}
		n.ip("-n", n.client, "address", "flush", "dev", "cli0")
	})
	t.Run("perfdhcp", func(t *testing.T) {
		n.t = t
		n.ip("-n", n.client, "address", "add", "10.9.0.250/24", "dev", "cli0")
		out := n.judge("perfdhcp", "-4", "-l", "cli0", "-L", "67", "-r", "20", "-n", "40", "-R", "40", "-W", "3000000", "10.9.0.1")
		m := regexp.MustCompile(`received packets: (\d+)`).FindAllStringSubmatch(out, -1)
		// On a busy host perfdhcp itself gives up a late one.
		if len(m) != 2 || !enough(m[0][1]) || !enough(m[1][1]) {
			t.Errorf("perfdhcp says:\n%s", out)
		}
	})
}

func enough(packets string) bool { n, _ := strconv.Atoi(packets); return n >= 36 }

// A static machine that sits on an address of the pool: it is found, reported
// and left alone.
func TestConflictOnTheWire(t *testing.T) {
	n := newNet(t)
	n.ip("-n", n.client, "address", "add", "10.9.0.100/24", "dev", "cli0")
	s := n.serve(childConfig{Leases: filepath.Join(t.TempDir(), "leases")})
	if e := s.until("dhcp.conflict"); e.Client != mac1 || !strings.Contains(e.Problem, "10.9.0.100 is in use by "+mac1) {
		t.Errorf("event %+v", e)
	}
	out := n.judge("udhcpc", "-n", "-q", "-f", "-i", "cli0", "-s", "/bin/true", "-x", "0x3d:0102030405", "-r", "10.9.0.101")
	if !strings.Contains(out, "lease of 10.9.0.1") || strings.Contains(out, "lease of 10.9.0.100 ") {
		t.Errorf("udhcpc says:\n%s", out)
	}
}

// Behind a router it is a ping that finds who uses an address.
func TestConflictBehindRelay(t *testing.T) {
	n := newNet(t)
	n.ip("-n", n.client, "address", "add", "10.9.0.2/24", "dev", "cli0")
	n.ip("-n", n.client, "link", "set", "lo", "up")
	n.ip("-n", n.client, "address", "add", "10.8.0.1/32", "dev", "lo")
	n.ip("-n", n.client, "address", "add", "10.8.0.10/32", "dev", "lo")
	n.ip("-n", n.server, "route", "add", "10.8.0.0/24", "via", "10.9.0.2")
	s := n.serve(childConfig{Routed: true})
	s.until("ready")
	cmd := exec.Command("ip", "netns", "exec", n.client, os.Args[0])
	cmd.Env = append(os.Environ(), "SLIPWAY_DHCP_RELAY=10.8.0.1")
	out, err := cmd.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "10.8.0.11" {
		t.Errorf("offered %s, want 10.8.0.11: 10.8.0.10 is in use", got)
	}
	if e := s.until("dhcp.conflict"); e.Address != "10.8.0.10" {
		t.Errorf("event %+v", e)
	}
	if e := s.until("dhcp.offer"); e.Address != "10.8.0.11" || e.Fields["relay"] != "10.8.0.1" {
		t.Errorf("event %+v", e)
	}
}

func TestPortTaken(t *testing.T) {
	n := newNet(t)
	first := n.serve(childConfig{})
	first.until("ready")
	second := n.serve(childConfig{})
	e := second.until("failed")
	name := filepath.Base(os.Args[0])
	if !strings.Contains(e.Problem, "port 67 is in use by "+name[:min(len(name), 15)]+" (process ") {
		t.Errorf("the second server says %q, want the name of the first", e.Problem)
	}
}

func TestInterfaceGoneAndBack(t *testing.T) {
	n := newNet(t)
	s := n.serve(childConfig{})
	s.until("ready")
	n.ip("-n", n.server, "link", "del", "srv0")
	if e := s.until("dhcp.link"); !strings.Contains(e.Problem, "nobody on srv0 gets an answer until it is back") {
		t.Errorf("event %+v", e)
	}
	n.plug()
	if e := s.until("dhcp.link"); !strings.Contains(e.Text, "the interface is back") {
		t.Errorf("event %+v", e)
	}
	out := n.judge("udhcpc", "-n", "-q", "-f", "-i", "cli0", "-s", "/bin/true")
	if !strings.Contains(out, "obtained") {
		t.Errorf("udhcpc says:\n%s", out)
	}
}

// dnsmasq on the same wire: a rival of a whole server, company of a proxy.
func TestRivalOnTheWire(t *testing.T) {
	n := newNet(t)
	n.ip("-n", n.client, "address", "add", "10.9.0.2/24", "dev", "cli0")
	dnsmasq, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Skip("dnsmasq is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("ip", "netns", "exec", n.client, dnsmasq, "-k", "-p", "0", "-C", "/dev/null", "--no-ping", "--user=root", "--dhcp-authoritative",
		"--dhcp-range=10.9.0.210,10.9.0.220", "--dhcp-leasefile="+filepath.Join(dir, "l"), "--interface=cli0", "--pid-file="+filepath.Join(dir, "p"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for range 100 { // until it serves
		if _, err := os.Stat(filepath.Join(dir, "p")); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	full := n.serve(childConfig{})
	if e := full.until("dhcp.rival"); !strings.Contains(e.Problem, "another DHCP server, 10.9.0.2, answers on srv0") || e.Client != "" { // it answered our own question
		t.Errorf("event %+v", e)
	}
	full.stop()
	proxy := n.serve(childConfig{Mode: Proxy, Boot: boot})
	if e := proxy.until("dhcp.rival"); e.Problem != "" || !strings.Contains(e.Text, "the DHCP server of srv0 is 10.9.0.2") {
		t.Errorf("event %+v", e)
	}
}
