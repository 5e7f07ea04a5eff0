package lab

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
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
		if err == nil {
			go echo(l)
		}
		return err
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
