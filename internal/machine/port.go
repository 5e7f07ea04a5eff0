package machine

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// portPattern is how a forwarded port is written.
const portPattern = `^(([0-9.]+|\[[0-9A-Fa-f:.]+\]):)?[0-9]{1,5}:[0-9]{1,5}(/(tcp|udp))?$`

// ParsePort reads "host:machine" or "address:host:machine", an IPv6 address in
// brackets, optionally with /tcp or /udp.
func ParsePort(s string) (Port, error) {
	fail := func(why string) (Port, error) {
		return Port{}, fmt.Errorf("parsing port %q: %s", s, why)
	}
	var p Port
	rest, proto, _ := strings.Cut(s, "/")
	switch proto {
	case "", "tcp":
	case "udp":
		p.UDP = true
	default:
		return fail("want /tcp or /udp after the numbers")
	}
	cut := strings.LastIndexByte(rest, ':')
	if cut < 0 {
		return fail("want host:machine, for example 8080:80")
	}
	host, guest := rest[:cut], rest[cut+1:]
	if cut = strings.LastIndexByte(host, ':'); cut >= 0 {
		address, err := netip.ParseAddr(strings.Trim(host[:cut], "[]"))
		if err != nil || address.Is6() != strings.HasPrefix(host, "[") {
			return fail("want an IP address (IPv6 in brackets) before the host port")
		}
		p.Address, host = address.String(), host[cut+1:]
	}
	var ok [2]bool
	p.Host, ok[0] = portNumber(host)
	p.Machine, ok[1] = portNumber(guest)
	if !ok[0] || !ok[1] {
		return fail("want port numbers from 1 to 65535, for example 8080:80")
	}
	return p, nil
}

// portNumber reads a port number.
func portNumber(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && digits(s) && n >= 1 && n <= 65535
}

// String writes the port as a definition does.
func (p Port) String() string {
	s := fmt.Sprintf("%d:%d", p.Host, p.Machine)
	if p.Address != "" {
		if strings.Contains(p.Address, ":") {
			s = "[" + p.Address + "]:" + s
		} else {
			s = p.Address + ":" + s
		}
	}
	if p.UDP {
		s += "/udp"
	}
	return s
}

// overlaps tells whether both ports would listen on the same address.
func (p Port) overlaps(q Port) bool {
	any := func(a string) bool { return a == "0.0.0.0" || a == "::" }
	local := func(a string) bool { return a == "127.0.0.1" || a == "::1" }
	if p.Host != q.Host || p.UDP != q.UDP {
		return false
	}
	return p.Address == q.Address || any(p.Address) || any(q.Address) ||
		p.Address == "" && local(q.Address) || q.Address == "" && local(p.Address)
}
