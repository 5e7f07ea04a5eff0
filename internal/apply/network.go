package apply

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// applyNetwork writes the interfaces' configuration for systemd-networkd where
// systemd boots, and for ifupdown elsewhere.
func applyNetwork(ctx context.Context, j *job) error {
	if len(j.def.Network) == 0 {
		return nil
	}
	for _, n := range j.def.Network {
		if err := validNetwork(n); err != nil {
			return err
		}
	}
	if j.env.Init == "systemd" {
		return j.networkd(ctx)
	}
	return j.ifupdown()
}

func validNetwork(n machine.Network) error {
	if strings.TrimSpace(n.Match) == "" || strings.Contains(n.Match, "\n") {
		return fmt.Errorf("match %q names no interface", n.Match)
	}
	for _, a := range n.Address {
		if _, err := netip.ParsePrefix(a); err != nil {
			return fmt.Errorf("address %q is not like 192.0.2.7/24: %w", a, err)
		}
	}
	for _, a := range append(slices.Clone(n.DNS), n.Gateway, n.Gateway6) {
		if a == "" {
			continue
		}
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("%q is no address: %w", a, err)
		}
	}
	return nil
}

// networkd writes one file per item, in their order: the first match wins.
func (j *job) networkd(ctx context.Context) error {
	if !j.exists("/usr/lib/systemd/systemd-networkd") {
		return fmt.Errorf("the machine has no systemd-networkd; add the package systemd")
	}
	for i, n := range j.def.Network {
		name := fmt.Sprintf("/etc/systemd/network/50-slipway-%d.network", i)
		if err := j.writeText(name, networkFile(n), plainFile); err != nil {
			return err
		}
		if err := j.networkdBond(i, n); err != nil {
			return err
		}
	}
	services := []string{"systemd-networkd.service"}
	if _, ok := j.findUnit("systemd-resolved.service"); ok {
		services = append(services, "systemd-resolved.service")
	}
	for _, s := range services {
		if err := j.enable(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func networkFile(n machine.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Match]\nName=%s\n\n[Network]\n", strings.Join(strings.Fields(n.Match), " "))
	if n.DHCP {
		b.WriteString("DHCP=yes\n")
	}
	for _, a := range n.Address {
		fmt.Fprintf(&b, "Address=%s\n", a)
	}
	if n.Gateway != "" {
		fmt.Fprintf(&b, "Gateway=%s\n", n.Gateway)
	}
	if n.Gateway6 != "" {
		fmt.Fprintf(&b, "Gateway=%s\n", n.Gateway6)
	}
	for _, a := range n.DNS {
		fmt.Fprintf(&b, "DNS=%s\n", a)
	}
	return b.String()
}

// networkdBond writes the device of a bond, and the files of its members, which
// come before those that match by patterns.
func (j *job) networkdBond(i int, n machine.Network) error {
	if n.Bond == nil {
		return nil
	}
	if err := j.writeText(fmt.Sprintf("/etc/systemd/network/50-slipway-%d.netdev", i), netdevFile(n), plainFile); err != nil {
		return err
	}
	members := fmt.Sprintf("[Match]\nName=%s\n\n[Network]\nBond=%s\n", strings.Join(n.Bond.Members, " "), n.Match)
	if primary := n.Bond.Options["primary"]; primary != "" {
		text := fmt.Sprintf("[Match]\nName=%s\n\n[Network]\nBond=%s\nPrimarySlave=yes\n", primary, n.Match)
		if err := j.writeText(fmt.Sprintf("/etc/systemd/network/30-slipway-%d-primary.network", i), text, plainFile); err != nil {
			return err
		}
	}
	return j.writeText(fmt.Sprintf("/etc/systemd/network/40-slipway-%d-members.network", i), members, plainFile)
}

// netdevFile is systemd.netdev(5) of a bond, in its own words for the options.
func netdevFile(n machine.Network) string {
	var b strings.Builder
	mode := n.Bond.Mode
	if mode == "" {
		mode = "active-backup"
	}
	fmt.Fprintf(&b, "[NetDev]\nName=%s\nKind=bond\n\n[Bond]\nMode=%s\n", n.Match, mode)
	for _, o := range []struct{ option, key, unit string }{
		{"lacp_rate", "LACPTransmitRate", ""}, {"miimon", "MIIMonitorSec", "ms"}, {"xmit_hash_policy", "TransmitHashPolicy", ""},
		{"updelay", "UpDelaySec", "ms"}, {"downdelay", "DownDelaySec", "ms"},
	} {
		if value := n.Bond.Options[o.option]; value != "" {
			fmt.Fprintf(&b, "%s=%s%s\n", o.key, value, o.unit)
		}
	}
	return b.String()
}

// ifupdown writes interfaces(5). Its patterns differ between distributions, so
// that only plain names are taken.
func (j *job) ifupdown() error {
	if !j.exists("/sbin/ifup") && !j.exists("/usr/sbin/ifup") {
		return fmt.Errorf("the machine has no ifup; add the package ifupdown")
	}
	var b strings.Builder
	for _, n := range j.def.Network {
		if n.Bond != nil {
			return fmt.Errorf("match %q: a bond needs systemd-networkd, which this init does not start", n.Match)
		}
		for _, name := range strings.Fields(n.Match) {
			if strings.ContainsAny(name, "*?[") {
				return fmt.Errorf("match %q: without systemd an interface needs its full name (eth0)", n.Match)
			}
			b.WriteString(stanzas(name, n))
		}
	}
	if j.env.Family == "apk" {
		return j.alpineInterfaces(b.String())
	}
	if err := j.writeText("/etc/network/interfaces.d/slipway", b.String(), plainFile); err != nil {
		return err
	}
	if j.exists("/etc/network/interfaces") {
		return nil
	}
	text := "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
	return j.writeText("/etc/network/interfaces", text, plainFile)
}

// stanzas configure one interface; the gateway goes with the first address of
// its family.
func stanzas(name string, n machine.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "auto %s\n", name)
	if n.DHCP {
		fmt.Fprintf(&b, "iface %s inet dhcp\n", name)
	}
	gateway, gateway6 := n.Gateway, n.Gateway6
	for _, a := range n.Address {
		family := "inet"
		if netip.MustParsePrefix(a).Addr().Is6() {
			family = "inet6"
		}
		fmt.Fprintf(&b, "iface %s %s static\n\taddress %s\n", name, family, a)
		if gateway != "" && netip.MustParseAddr(gateway).Is6() == (family == "inet6") {
			fmt.Fprintf(&b, "\tgateway %s\n", gateway)
			gateway = ""
		} else if gateway6 != "" && family == "inet6" {
			fmt.Fprintf(&b, "\tgateway %s\n", gateway6)
			gateway6 = ""
		}
		if len(n.DNS) > 0 {
			fmt.Fprintf(&b, "\tdns-nameservers %s\n", strings.Join(n.DNS, " "))
		}
	}
	return b.String()
}

// alpineInterfaces writes the one file that Alpine's tools know, and has it
// read at boot.
func (j *job) alpineInterfaces(stanzas string) error {
	text := "auto lo\niface lo inet loopback\n\n" + stanzas
	if err := j.writeText("/etc/network/interfaces", text, plainFile); err != nil {
		return err
	}
	if !j.exists("/etc/init.d/networking") {
		return nil
	}
	return j.symlink("/etc/init.d/networking", "/etc/runlevels/boot/networking", attr{mode: 0o777})
}
