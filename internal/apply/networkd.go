package apply

import (
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// networkd writes one file per item, in their order: the first match wins.
func (j *job) networkd() error {
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
	fmt.Fprintf(&b, "[NetDev]\nName=%s\nKind=bond\n\n[Bond]\nMode=%s\n", n.Match, bondMode(n.Bond))
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
