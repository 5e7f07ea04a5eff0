package machine

import (
	"fmt"
	"net/netip"
	"path"
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
