package answer

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// network writes one line for each card, and one for the name.
func (k *ks) network() {
	if len(k.d.Network) == 0 {
		k.line("network --bootproto=dhcp --device=%s --activate", bootDevice(k.f))
	}
	for i, n := range k.d.Network {
		for _, device := range k.devices(i, n) {
			k.line("network %s", k.card(i, n, device))
		}
	}
	k.line("network --hostname=%s", quote(hostname(k.d)))
}

// bootDevice is the card that the machine booted from.
func bootDevice(f Facts) string {
	if len(f.MACs) > 0 {
		return f.MACs[0].String()
	}
	return "bootif"
}

// devices are the names that a kickstart takes for the interfaces that match:
// patterns mean the only card, if there is one.
func (k *ks) devices(i int, n machine.Network) []string {
	names := strings.Fields(n.Match)
	if !strings.ContainsAny(n.Match, "*?[") {
		return names
	}
	if len(k.d.Network) == 1 && len(k.f.MACs) <= 1 {
		return []string{bootDevice(k.f)}
	}
	if len(k.d.Network) == 1 && len(n.Address) == 0 { // all cards ask for addresses
		var out []string
		for _, mac := range k.f.MACs {
			out = append(out, mac.String())
		}
		return out
	}
	k.at(fmt.Sprintf("network.%d.match", i), n.Match, "a kickstart names each interface, and a pattern may stand for several", "write its name, for example enp1s0f0")
	return nil
}

func (k *ks) card(i int, n machine.Network, device string) string {
	var words []string
	add := func(flag, value string) {
		if value != "" {
			words = append(words, "--"+flag+"="+value)
		}
	}
	v4, v6 := k.addresses(i, n.Address)
	switch {
	case n.DHCP && v4.IsValid():
		k.at(fmt.Sprintf("network.%d.dhcp", i), "true", "a kickstart gives an interface either dhcp or a fixed address of IPv4", "remove one of them")
	case n.DHCP:
		add("bootproto", "dhcp")
	case v4.IsValid():
		add("bootproto", "static")
	default:
		words = append(words, "--noipv4")
	}
	add("device", device)
	gateway4, gateway6 := gateways(n)
	if v4.IsValid() {
		add("ip", v4.Addr().String())
		add("netmask", netmask(v4))
		add("gateway", gateway4)
	}
	if v6.IsValid() {
		add("ipv6", v6.String())
		add("ipv6gateway", gateway6)
	}
	add("nameserver", strings.Join(n.DNS, ","))
	words = append(words, "--activate")
	if b := n.Bond; b != nil {
		options := []string{"mode=" + or(b.Mode, "active-backup")}
		for _, o := range slices.Sorted(maps.Keys(b.Options)) {
			options = append(options, o+"="+b.Options[o])
		}
		add("bondopts", strings.Join(options, ","))
		add("bondslaves", strings.Join(b.Members, ","))
	}
	return strings.Join(words, " ")
}

// addresses are one of each family, which is what installers take.
func (r *refusals) addresses(i int, list []string) (v4, v6 netip.Prefix) {
	for j, text := range list {
		p, err := netip.ParsePrefix(text)
		which := &v4
		if err == nil && p.Addr().Is6() {
			which = &v6
		}
		if err != nil || which.IsValid() {
			r.at(fmt.Sprintf("network.%d.address.%d", i, j), text, r.format+" takes one address of each family", "add further ones with files or run")
			continue
		}
		*which = p
	}
	return v4, v6
}

// gateways sorts what a definition says by family.
func gateways(n machine.Network) (v4, v6 string) {
	if strings.Contains(n.Gateway, ":") {
		return "", n.Gateway
	}
	return n.Gateway, n.Gateway6
}

func netmask(p netip.Prefix) string {
	return net.IP(net.CIDRMask(p.Bits(), 32)).String()
}
