package answer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// network: by the time the preseed is read the network is up, so that its
// answers stand on the command line (see BootArgs). Here is what is asked again,
// and the refusal of what cannot be written.
func (p *pre) network() {
	p.say("netcfg/get_hostname", "string", hostname(p.d))
	p.say("netcfg/hostname", "string", hostname(p.d))
	p.say("netcfg/get_domain", "string", "unassigned-domain")
	for i, n := range p.d.Network {
		if strings.ContainsAny(n.Match, "*?[") && !simple(p.d) {
			p.at(fmt.Sprintf("network.%d.match", i), n.Match, "the installed system's ifupdown needs the name of each interface", "write its name, for example enp1s0")
		}
	}
}

// simple tells whether the installer's own configuration of its card is all that
// the definition asks for: one card, by DHCP or with one address.
func simple(d *machine.Definition) bool {
	if len(d.Network) == 0 {
		return true
	}
	n := d.Network[0]
	patterns := strings.ContainsAny(n.Match, "*?[") // whichever card it booted from
	if len(d.Network) > 1 || n.Bond != nil || len(strings.Fields(n.Match)) > 1 && !patterns {
		return false
	}
	return n.DHCP && len(n.Address) == 0 || !n.DHCP && len(n.Address) == 1
}

// interfaces is interfaces(5) of a machine with more than that.
func interfaces(d *machine.Definition) string {
	var b strings.Builder
	b.WriteString("source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n")
	for _, n := range d.Network {
		for _, name := range strings.Fields(n.Match) {
			b.WriteString("\n" + stanzas(name, n))
		}
	}
	return b.String()
}

func stanzas(name string, n machine.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "auto %s\n", name)
	bond := bondLines(n.Bond)
	if n.DHCP {
		fmt.Fprintf(&b, "iface %s inet dhcp\n%s", name, bond)
		bond = ""
	}
	v4, v6 := gateways(n)
	for _, a := range n.Address {
		prefix, err := netip.ParsePrefix(a)
		if err != nil {
			continue // the definition's own check has refused it
		}
		family, gateway := "inet", &v4
		if prefix.Addr().Is6() {
			family, gateway = "inet6", &v6
		}
		fmt.Fprintf(&b, "iface %s %s static\n\taddress %s\n", name, family, a)
		if *gateway != "" {
			fmt.Fprintf(&b, "\tgateway %s\n", *gateway)
			*gateway = ""
		}
		if len(n.DNS) > 0 {
			fmt.Fprintf(&b, "\tdns-nameservers %s\n", strings.Join(n.DNS, " "))
		}
		b.WriteString(bond)
		bond = ""
	}
	return b.String()
}

// bondLines are the words of the package ifenslave.
func bondLines(bond *machine.Bond) string {
	if bond == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\tbond-slaves %s\n\tbond-mode %s\n", strings.Join(bond.Members, " "), or(bond.Mode, "active-backup"))
	for _, o := range slices.Sorted(maps.Keys(bond.Options)) {
		fmt.Fprintf(&b, "\tbond-%s %s\n", strings.ReplaceAll(o, "_", "-"), bond.Options[o])
	}
	return b.String()
}
