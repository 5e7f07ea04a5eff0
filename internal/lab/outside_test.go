package lab

import (
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// withHost runs f on a thread whose network plays the host: it has one
// interface, 198.51.100.2, to an "internet" where 198.51.100.1:80 answers with
// the address it was asked from.
func withHost(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root's lab has a way out")
	}
	internet, err := newNetNS()
	if err != nil {
		t.Skipf("cannot make network namespaces: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		if err := playInternet(internet); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func playInternet(internet *os.File) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "wan"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "isp", PeerNamespace: netlink.NsFd(internet.Fd())}); err != nil {
		return err
	}
	up := func(name, address string) error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, addr(netip.MustParsePrefix(address))); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	}
	if err := up("wan", "198.51.100.2/24"); err != nil {
		return err
	}
	return inNetNS(internet, func() error {
		if err := up("isp", "198.51.100.1/24"); err != nil {
			return err
		}
		l, err := net.Listen("tcp", "198.51.100.1:80")
		if err != nil {
			return err
		}
		go echo(l)
		pc, err := net.ListenPacket("udp", "198.51.100.1:53")
		if err != nil {
			return err
		}
		handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			r := new(dns.Msg).SetReply(q)
			if q.Question[0].Qtype == dns.TypeA {
				rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A 203.0.113.7")
				r.Answer = append(r.Answer, rr)
			}
			w.WriteMsg(r)
		})
		go dns.ActivateAndServe(nil, pc, handler)
		return nil
	})
}

func forwarding(t *testing.T) string {
	data, err := os.ReadFile(forwardFile)
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(data))
}

func tables(t *testing.T) int {
	c, err := nftables.New()
	if err != nil {
		t.Error(err)
		return -1
	}
	list, err := c.ListTables()
	if err != nil {
		t.Error(err)
	}
	return len(list)
}

func TestOutside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	withHost(t, func() {
		before := interfaces(t)
		l, err := JoinAt(t.Context(), testHost(t), dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Leave()
		for range 2 { // the second does nothing
			if err := l.OpenOutside(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
		if forwarding(t) != "1" || tables(t) != 1 {
			t.Errorf("forwarding %s, %d tables", forwarding(t), tables(t))
		}
		m := startMember(t, l)
		m.must("attach in")
		out := strings.Fields(m.must("attach out outside"))
		if got := m.try("dial out 198.51.100.1:80"); got != "HELLO from 198.51.100.2" {
			t.Errorf("dialling out: %s", got)
		}
		if got := m.try("dial in 198.51.100.1:80"); !strings.Contains(got, "network is unreachable") {
			t.Errorf("dialling out without a way out: %s", got)
		}
		conf := filepath.Join(dir, "resolv.conf")
		os.WriteFile(conf, []byte("nameserver 198.51.100.1\n"), 0o644)
		m.must("resolv %s", conf)
		m.must("serve")
		waitFor(t, func() bool { return strings.HasPrefix(m.try("lookup in host"), "10.") })
		if got := m.try("lookup out www.example.org"); got != "203.0.113.7" {
			t.Errorf("looking an outside name up: %s", got)
		}
		if got := m.try("lookup in www.example.org"); got != "NXDOMAIN" {
			t.Errorf("looking an outside name up without a way out: %s", got)
		}
		// The same address is stopped at the gate when the machine is gone.
		m.must("detach out")
		if got := strings.Fields(m.must("attach out dhcp")); got[0] != out[0] {
			t.Errorf("address changed: %s, %s", out[0], got[0])
		}
		l.Leave()
		if forwarding(t) != "1" {
			t.Error("closed although a member lives")
		}
		m.quit() // closes it from inside
		if after := interfaces(t); after != before || forwarding(t) != "0" || tables(t) != 0 {
			t.Errorf("left: interfaces %s, forwarding %s, %d tables", after, forwarding(t), tables(t))
		}
	})
}

func TestOutsideRepair(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	withHost(t, func() {
		before := interfaces(t)
		l, err := JoinAt(t.Context(), testHost(t), dir)
		if err != nil {
			t.Error(err)
			return
		}
		if err := l.OpenOutside(t.Context()); err != nil {
			t.Error(err)
			return
		}
		if err := RepairAt(t.Context(), dir); err != nil || tables(t) != 1 {
			t.Errorf("repaired a lab that lives: %v", err)
		}
		l.close() // as kill -9 does: no clean-up
		if err := RepairAt(t.Context(), dir); err != nil {
			t.Error(err)
		}
		if after := interfaces(t); after != before || forwarding(t) != "0" || tables(t) != 0 {
			t.Errorf("left: interfaces %s, forwarding %s, %d tables", after, forwarding(t), tables(t))
		}
	})
}

// TestOutsideUser reaches a socket on an address of this very host.
func TestOutsideUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's way out is another")
	}
	if _, err := exec.LookPath("pasta"); err != nil {
		t.Skip("pasta (the passt package) is not installed")
	}
	own := ""
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			own = n.IP.String()
		}
	}
	if own == "" {
		t.Skip("this host has no address but loopback")
	}
	server, err := net.Listen("tcp", net.JoinHostPort(own, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() { // no half-close: older versions of pasta lose the rest
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			io.WriteString(c, "welcome "+from+"\n")
			defer c.Close()
		}
	}()
	l := join(t, t.TempDir())
	if err := l.OpenOutside(t.Context()); err != nil {
		t.Fatal(err)
	}
	var state outsideState
	if err := readJSON(l.outsidePath(), &state); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, l)
	m.must("attach in")
	m.must("attach out outside")
	if got := m.try("greet out %s", server.Addr()); got != "welcome "+own {
		t.Errorf("dialling out: %s", got)
	}
	if got := m.try("greet in %s", server.Addr()); !strings.Contains(got, "network is unreachable") {
		t.Errorf("dialling out without a way out: %s", got)
	}
	l.Leave()
	m.quit()
	waitFor(t, func() bool {
		now, err := startTime(state.PID)
		return err != nil || now != state.Start || isZombie(state.PID)
	})
}

// isZombie: pasta is this process's child and nobody waits for it here.
func isZombie(pid int) bool {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(data), ") Z ")
}
