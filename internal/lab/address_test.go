package lab

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

func TestChooseSubnets(t *testing.T) {
	first, err := chooseSubnets("seed", []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
	if err != nil {
		t.Fatal(err)
	}
	if !netip.MustParsePrefix("10.64.0.0/10").Overlaps(first.IPv4) || first.IPv4.Bits() != 24 {
		t.Errorf("IPv4 %v", first.IPv4)
	}
	if !netip.MustParsePrefix("fd00::/8").Overlaps(first.IPv6) || first.IPv6.Bits() != 64 {
		t.Errorf("IPv6 %v", first.IPv6)
	}
	second, err := chooseSubnets("seed", []netip.Prefix{first.IPv4})
	if err != nil || second.IPv4.Overlaps(first.IPv4) || second.IPv6 != first.IPv6 {
		t.Errorf("avoiding %v gave %v, %v", first, second, err)
	}
	if _, err := chooseSubnets("seed", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err == nil {
		t.Error("a subnet was found in a taken range")
	}
}

func TestPick(t *testing.T) {
	names := map[string]uint8{}
	dead := func(string) bool { return false }
	seen := map[uint8]bool{}
	for i := range hostCount {
		n, isNew, err := pick(names, fmt.Sprint("m", i), dead)
		if err != nil || !isNew || n < firstHost || n == 255 || seen[n] {
			t.Fatalf("machine %d: %d %v %v", i, n, isNew, err)
		}
		seen[n] = true
	}
	n, isNew, err := pick(names, "m7", dead)
	if err != nil || isNew || n != names["m7"] {
		t.Errorf("known name: %d %v %v", n, isNew, err)
	}
	if _, _, err := pick(names, "more", func(string) bool { return true }); err == nil {
		t.Error("an address of a live machine was given away")
	}
	if _, isNew, err := pick(names, "more", dead); err != nil || !isNew || len(names) != hostCount {
		t.Errorf("evicting: %v %v %d", isNew, err, len(names))
	}
}

func TestReverseName(t *testing.T) {
	v6 := netip.MustParseAddr("fd12:3456:789a::2")
	for _, ip := range []netip.Addr{netip.MustParseAddr("10.1.2.3"), v6} {
		name, err := dns.ReverseAddr(ip.String())
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := reverseName(name); !ok || got != ip {
			t.Errorf("%s: got %v %v", name, got, ok)
		}
	}
	for _, bad := range []string{"", ".", "1.2.3.in-addr.arpa.", "999.1.1.1.in-addr.arpa.", "x.ip6.arpa.", "web.lab."} {
		if got, ok := reverseName(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func FuzzReverseName(f *testing.F) {
	f.Add("4.3.2.1.in-addr.arpa.")
	f.Add("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa.")
	f.Fuzz(func(t *testing.T, name string) {
		if ip, ok := reverseName(name); ok && !ip.IsValid() {
			t.Errorf("%q: %v", name, ip)
		}
	})
}
