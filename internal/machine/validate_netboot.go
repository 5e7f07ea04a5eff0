package machine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// netboot checks what the machine says of the network that boots it.
func (v *validator) netboot() {
	n := v.d.Netboot
	if n == nil {
		return
	}
	v.netbootMode(n)
	v.netbootMatch(&n.Match)
	if a, err := netip.ParseAddr(n.Address); n.Address != "" && (err != nil || !a.Is4() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback()) {
		v.at("netboot.address", n.Address, fmt.Sprintf("%s is no address of a machine", n.Address), "")
	}
	v.installer(n)
	v.power(n.Power)
	if n.HTTP() && n.Firmware == "bios" {
		v.at("netboot.protocol", "http", "a BIOS fetches its loader by TFTP alone", "remove protocol, or firmware: bios")
	}
}

// netbootMode checks keys that belong to one mode.
func (v *validator) netbootMode(n *Netboot) {
	given := func(key string) bool { _, ok := v.d.positions["netboot."+key]; return ok }
	if n.RAM() {
		if given("recover") {
			v.at("netboot.recover", "", "a machine in RAM is not installed", "write mode: install, or remove recover")
		}
		v.netbootState(n)
		if n.Default == "install" {
			v.at("netboot.default", n.Default, "there is nothing to install in mode ram", "write mode: install")
		}
		return
	}
	for _, key := range []string{"initrd", "prove_within"} {
		if given(key) {
			v.at("netboot."+key, "", "it belongs to mode ram", "write mode: ram, or remove "+key)
		}
	}
	switch {
	case v.d.NoDisk():
		v.at("netboot.mode", n.Mode, "the machine has no disk that boots by itself", "leave disk.table and boot.loader to their defaults, or write mode: ram")
	case !v.d.Boots(n.FirmwareName()):
		v.at("netboot.mode", n.Mode, fmt.Sprintf("its disk does not boot under %s, the rehearsal's firmware", strings.ToUpper(n.FirmwareName())), "add it to boot.firmware, or choose netboot.firmware")
	}
}

// netbootState checks that what a machine in RAM is to keep has a disk, and that
// nothing else looks at one.
func (v *validator) netbootState(n *Netboot) {
	switch {
	case len(v.d.State) == 0 && n.Disk != "":
		v.at("netboot.disk", n.Disk, "a machine in RAM without `state:` leaves its disks alone", "name what it is to keep in state, write mode: install, or remove disk")
	case len(v.d.State) == 0:
	case n.Disk == "":
		v.at("state", "", "a machine that runs from RAM (netboot.mode) has no disk that would keep this", "name the disk in netboot.disk (with netboot.initrd: small), write netboot.mode: install, or remove state")
	case !n.Small():
		v.at("netboot.disk", n.Disk, "an initrd that holds the whole system looks at no disk, and would keep no `state:`", "write netboot.initrd: small")
	}
}

// netbootMatch checks by what the machine is known.
func (v *validator) netbootMatch(m *Match) {
	seen := map[string]bool{}
	for i, mac := range m.MAC {
		key, lower := fmt.Sprintf("netboot.match.mac.%d", i), strings.ToLower(mac)
		if len(lower) > 1 && strings.ContainsAny(lower[1:2], "13579bdf") {
			v.at(key, mac, "a network card cannot have a group address", "")
		}
		if seen[lower] {
			v.at(key, mac, "the address stands there twice", "")
		}
		seen[lower] = true
	}
	others := *m
	others.Any = false
	if m.Any && !others.None() {
		v.at("netboot.match.any", "", "any is every machine that nothing else matches", "remove it, or the rest of match")
	}
}

// installer checks what a foreign installer is given.
func (v *validator) installer(n *Netboot) {
	i := n.Installer
	if i == nil {
		return
	}
	if n.RAM() {
		v.at("netboot.installer", "", "a machine in RAM is not installed", "write mode: install, or remove installer")
	}
	if (i.Kernel == nil) != (i.Initrd == nil) {
		v.at("netboot.installer", "", "kernel and initrd of an installer belong together", "give both or none")
	}
}

// power checks that there is one way to turn the machine on.
func (v *validator) power(p *Power) {
	switch {
	case p == nil:
	case len(p.Command) > 0 && p.Serial != "":
		v.at("netboot.power.serial", p.Serial, "the machine is turned on by a command already", "remove command or serial")
	case p.Serial == "" && (p.Line != "" || p.Hold != 0):
		v.at("netboot.power", "", "line and hold belong to serial", "write serial, or remove them")
	case p.Hold < 0 || p.Hold > time.Minute:
		v.at("netboot.power.hold", p.Hold.String(), "no power button is held so long", "write at most 1m")
	}
}
