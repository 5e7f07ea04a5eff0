package deb

import (
	"slices"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// impliedNetwork brings what configures interfaces.
func impliedNetwork(l *distro.ImpliedList, d *machine.Definition, class plan.Class) {
	switch d.ChosenNetwork() {
	case "networkd":
		l.Add("systemd", "network")
	case "networkmanager":
		l.Add("network-manager", "network_backend")
	case "ifupdown":
		l.Add("ifupdown", "network")
		impliedIfupdown(l, d)
	}
}

// dhcpClients are those that ifup finds by itself.
var dhcpClients = []string{"isc-dhcp-client", "dhcpcd", "dhcpcd-base", "dhcpcd5", "udhcpc"}

// impliedIfupdown brings what ifup calls: a DHCP client, which it merely
// recommends, and what makes bonds.
func impliedIfupdown(l *distro.ImpliedList, d *machine.Definition) {
	asks, bonds := false, false
	for _, n := range d.Network {
		asks, bonds = asks || n.DHCP, bonds || n.Bond != nil
	}
	if asks && !slices.ContainsFunc(dhcpClients, d.Names) {
		l.Add(dhcpClient(d), "network.dhcp")
	}
	if bonds {
		l.Add("ifenslave", "network.bond")
	}
}

// dhcpClient is the one that the release's ifupdown recommends.
func dhcpClient(d *machine.Definition) string {
	if d.Release() == "bookworm" || d.Distribution() == "ubuntu" {
		return "isc-dhcp-client"
	}
	return "dhcpcd-base"
}

// impliedResolver: what turns networkd's leases into name servers is a package
// of its own in Debian; a container's name servers come at start, unless a
// resolver was chosen.
func impliedResolver(l *distro.ImpliedList, d *machine.Definition, class plan.Class) {
	inSystemd := namingOf(d).whole(d)
	switch d.ChosenResolver() {
	case "resolved":
		if !inSystemd {
			l.Add("systemd-resolved", "resolver")
		}
	case "resolvconf":
		if !d.Names("resolvconf") {
			l.Add("openresolv", "resolver")
		}
	case "":
		if d.ChosenNetwork() == "networkd" && class != plan.Container && !inSystemd {
			l.Add("systemd-resolved", "network")
		}
	}
}

// impliedTime brings the time service. Debian's exclude one another.
func impliedTime(l *distro.ImpliedList, d *machine.Definition) {
	switch service := d.ChosenTime(); service {
	case "timesyncd":
		l.Add("systemd-timesyncd", "time")
	case "chrony", "openntpd":
		l.Add(service, "time")
	}
}
