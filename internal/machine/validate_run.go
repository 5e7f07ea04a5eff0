package machine

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// networks checks addresses.
func (v *validator) networks() {
	for i, n := range v.d.Network {
		key := fmt.Sprintf("network.%d", i)
		for j, a := range n.Address {
			if _, err := netip.ParsePrefix(a); err != nil && a != "" {
				v.at(fmt.Sprintf("%s.address.%d", key, j), a, fmt.Sprintf("%q is no address with prefix length", a), "for example 192.0.2.10/24")
			}
		}
		v.address(key+".gateway", n.Gateway)
		v.address(key+".gateway6", n.Gateway6)
		v.gateways(key, n)
		v.bond(key, n)
		for j, a := range n.DNS {
			v.address(fmt.Sprintf("%s.dns.%d", key, j), a)
		}
		if n.Gateway != "" && len(n.Address) == 0 {
			v.at(key+".gateway", n.Gateway, "a gateway needs an address beside it", "DHCP brings its own gateway")
		}
		if !n.DHCP && len(n.Address) == 0 {
			v.at(key, "", "neither dhcp nor an address is given", "")
		}
	}
}

// gateways checks the second gateway.
func (v *validator) gateways(key string, n Network) {
	if a, err := netip.ParseAddr(n.Gateway6); n.Gateway6 != "" && err == nil && a.Is4() {
		v.at(key+".gateway6", n.Gateway6, n.Gateway6+" is an address of IPv4", "write it as gateway")
	}
	if n.Gateway6 != "" && len(n.Address) == 0 {
		v.at(key+".gateway6", n.Gateway6, "a gateway needs an address beside it", "")
	}
	if a, err := netip.ParseAddr(n.Gateway); n.Gateway6 != "" && err == nil && a.Is6() {
		v.at(key+".gateway", n.Gateway, "there are two gateways of IPv6", "keep gateway6 for it")
	}
}

// bond checks that what is joined is not something else too.
func (v *validator) bond(key string, n Network) {
	if n.Bond == nil {
		return
	}
	if strings.ContainsAny(n.Match, "*?[ ") || len(n.Match) > 15 {
		v.at(key+".match", n.Match, "a bond has one name, of at most 15 characters", "for example match: bond0")
	}
	for i, m := range n.Bond.Members {
		at := fmt.Sprintf("%s.bond.members.%d", key, i)
		if m == n.Match || slices.Contains(n.Bond.Members[:i], m) {
			v.at(at, m, fmt.Sprintf("%s is in the bond twice", m), "")
		}
		for j, o := range v.d.Network {
			if slices.Contains(strings.Fields(o.Match), m) {
				v.at(at, m, fmt.Sprintf("%s has a configuration of its own (network.%d)", m, j), "its addresses belong to the bond")
			}
		}
	}
}

func (v *validator) address(key, text string) {
	if _, err := netip.ParseAddr(text); text != "" && err != nil {
		v.at(key, text, fmt.Sprintf("%q is no IP address", text), "")
	}
}

// binds checks what a container shows of the host.
func (v *validator) binds() {
	for i, b := range v.d.Container.Binds {
		key := fmt.Sprintf("container.binds.%d", i)
		v.insidePath(key, b.Path)
		if b.Path != "" && path.Clean(b.Path) == "/" {
			v.at(key, b.Path, "a bind cannot cover the whole machine", "name a folder inside")
		}
		for j, o := range v.d.Container.Binds[:i] {
			if b.Path != "" && path.Clean(b.Path) == path.Clean(o.Path) {
				v.at(key, b.Path, fmt.Sprintf("%s is bound by entry %d as well", b.Path, j), "")
			}
		}
		for _, s := range v.d.State {
			if b.Path != "" && path.Clean(b.Path) == path.Clean(s) {
				v.at(key, b.Path, fmt.Sprintf("%s is state as well", b.Path), "keep one of them")
			}
		}
	}
}

// ports checks that no host port is asked for twice.
func (v *validator) ports() {
	for i, p := range v.d.Ports {
		for j, o := range v.d.Ports[:i] {
			if p.Host != 0 && p.overlaps(o) {
				v.at(fmt.Sprintf("ports.%d", i), p.String(), fmt.Sprintf("host port %d is forwarded by entry %d (%s) as well", p.Host, j, o), "choose another host port")
			}
		}
	}
	if v.d.Init == "none" && len(v.d.Ports) > 0 {
		v.at("ports", "", "with init: none nothing runs that could answer", "remove ports or give the machine an init")
	}
}
