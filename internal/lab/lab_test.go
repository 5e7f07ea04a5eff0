package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// queryA asks for addresses of both families over an open socket.
func queryA(c net.Conn, name string) ([]string, error) {
	var got []string
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		client := &dns.Client{Timeout: 2 * time.Second}
		r, _, err := client.ExchangeWithConn(q, &dns.Conn{Conn: c})
		if err != nil {
			return nil, err
		}
		if r.Rcode != dns.RcodeSuccess {
			return []string{dns.RcodeToString[r.Rcode]}, nil
		}
		for _, rr := range r.Answer {
			f := strings.Fields(rr.String())
			got = append(got, f[len(f)-1])
		}
	}
	return got, nil
}

// interfaces lists the links of the calling thread's network.
func interfaces(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

func join(t *testing.T, dir string) *Lab {
	t.Helper()
	l, err := JoinAt(t.Context(), testHost(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Leave() })
	return l
}

func inode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestLabConnects(t *testing.T) {
	before := interfaces(t)
	l := join(t, t.TempDir())
	a, b := startMember(t, l), startMember(t, l)
	a.must("serve")
	b.must("serve")
	web := strings.Fields(a.must("attach web"))
	db := strings.Fields(b.must("attach db"))
	gateway := l.Subnets.Gateway4().String()
	a.must("listen web :80")

	tests := []struct {
		r          *remote
		line, want string
	}{
		{b, "dial db " + web[0] + ":80", "HELLO from " + db[0]},
		{b, "dial db [" + web[1] + "]:80", "HELLO from " + db[1]},
		{b, "dial lab " + web[0] + ":80", "HELLO from " + gateway},
		{b, "dial db " + web[0] + ":81", "error: dial tcp " + web[0] + ":81: connect: connection refused"},
		{b, "dial db 192.0.2.1:80", "error: dial tcp 192.0.2.1:80: connect: network is unreachable"},
		{b, "lookup db web", web[0] + " " + web[1]},
		{b, "lookup db WEB.lab", web[0] + " " + web[1]},
		{b, "lookup db host", gateway + " " + l.Subnets.Gateway6().String()},
		{b, "lookup db nobody", "NXDOMAIN"},
		{b, "lookup db nobody.lab", "NXDOMAIN"},
		{b, "lookup db www.debian.org", "NXDOMAIN"},
		{b, "reverse db " + web[0], "web.lab."},
		{b, "reverse db " + web[1], "web.lab."},
		{a, "attach db", "error: attaching db: a machine of that name is in the lab already"},
		{a, "attach out outside", "error: attaching out: it wants a way out of the lab and the lab has none"},
	}
	waitFor(t, func() bool { return strings.HasPrefix(b.try("lookup db host"), "10.") })
	for _, tt := range tests {
		if got := tt.r.try("%s", tt.line); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}

	// Whoever serves dies: the other takes over, and its machine is forgotten.
	a.proc.Kill()
	a.proc.Wait()
	waitFor(t, func() bool { return strings.HasPrefix(b.try("lookup db host"), "10.") })
	if got := b.must("lookup db web"); got != "NXDOMAIN" {
		t.Errorf("a dead machine's name: %s", got)
	}
	if got := strings.Fields(b.must("attach web")); got[0] != web[0] {
		t.Errorf("web had %s and has %s now", web[0], got[0])
	}
	b.must("detach web")
	if got := b.must("machines"); strings.Contains(got, `"web"`) {
		t.Errorf("after detaching: %s", got)
	}
	if after := interfaces(t); after != before {
		t.Errorf("the host's interfaces were %s and are %s", before, after)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("waited for 5 s in vain")
}

func TestLabLease(t *testing.T) {
	l := join(t, t.TempDir())
	m := startMember(t, l)
	m.must("serve")
	want := strings.Fields(m.must("attach vm dhcp"))[0]
	m.must("attach other")
	gateway := l.Subnets.Gateway4().String()
	waitFor(t, func() bool { return strings.HasPrefix(m.try("lookup other host"), "10.") })
	text := fmt.Sprintf("%s [%s] [] vm ffffff00", want, gateway)
	if got := m.must("lease vm"); got != text {
		t.Errorf("lease %q, want %q", got, text)
	}
}

func TestLabLives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	first := join(t, dir)
	second := join(t, dir)
	id := inode(t, first.net)
	if inode(t, second.net) != id {
		t.Fatal("two members have two labs")
	}
	m := startMember(t, first)
	first.Leave()
	second.Leave()
	third := join(t, dir) // held by the process inside only
	if inode(t, third.net) != id {
		t.Error("the lab was lost although a member inside lives")
	}
	if third.Subnets != first.Subnets {
		t.Errorf("subnets %v and %v", first.Subnets, third.Subnets)
	}
	third.Leave()
	m.quit()
	entries, err := os.ReadDir(filepath.Join(dir, "members"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left: %v %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lab.json")); err == nil {
		t.Error("the last member left the lab's description")
	}
}

func TestInsideOutside(t *testing.T) {
	t.Setenv(envDir, "")
	if _, err := Inside(context.Background()); err == nil || !strings.Contains(err.Error(), "not started in a lab") {
		t.Errorf("error %v", err)
	}
}
