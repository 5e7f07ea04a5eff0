package apply

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/machine"
)

const interfacesFile = "/etc/network/interfaces"

// ifupdown writes interfaces(5): Debian's, or on Alpine that of ifupdown-ng.
func (j *job) ifupdown() error {
	if j.env.Family == "apk" {
		if j.busyboxHas("ifup") && !j.def.FromTarball() {
			return fmt.Errorf("the machine's ifup is busybox's; add the package ifupdown-ng, or write network_backend: busybox")
		}
		return j.alpineInterfaces(stanzas)
	}
	if !j.hasProgram("ifup") {
		return fmt.Errorf("the machine has no ifup; add the package ifupdown")
	}
	var b strings.Builder
	for i, n := range j.def.Network {
		if n.Bond != nil && !j.exists("/etc/network/if-pre-up.d/ifenslave") {
			return fmt.Errorf("match %q: ifupdown makes no bonds without ifenslave; add that package", n.Match)
		}
		b.WriteString(debianStanzas(fmt.Sprintf("slipway%d", i), n))
	}
	if err := j.writeText("/etc/network/interfaces.d/slipway", b.String(), plainFile); err != nil {
		return err
	}
	if j.exists(interfacesFile) {
		return nil
	}
	text := "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
	return j.writeText(interfacesFile, text, plainFile)
}

// busyboxIfup writes interfaces(5) for the ifup that is busybox's.
func (j *job) busyboxIfup() error {
	if !j.busyboxHas("ifup") {
		return fmt.Errorf("the machine's ifup is not busybox's; take the package that brings another (ifupdown-ng) out")
	}
	return j.alpineInterfaces(busyboxStanzas)
}

// alpineInterfaces writes the one file that Alpine's tools know, and has it
// read at boot. Its ifups take no patterns.
func (j *job) alpineInterfaces(stanzas func(string, machine.Network) string) error {
	if !j.hasProgram("ifup") {
		return fmt.Errorf("the machine has no ifup; add the package ifupdown-ng")
	}
	var b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\n\n")
	for _, n := range j.def.Network {
		if n.Bond != nil {
			return fmt.Errorf("match %q: this ifup makes no bonds", n.Match)
		}
		for _, name := range strings.Fields(n.Match) {
			if isPattern(name) {
				return fmt.Errorf("match %q: this ifup needs the interface's full name (eth0)", n.Match)
			}
			fmt.Fprintf(&b, "auto %s\n%s", name, stanzas(name, n))
		}
	}
	if err := j.writeText(interfacesFile, b.String(), plainFile); err != nil {
		return err
	}
	if !j.exists("/etc/init.d/networking") {
		return nil
	}
	return j.symlink("/etc/init.d/networking", "/etc/runlevels/boot/networking", attr{mode: 0o777})
}

// debianStanzas configure what an item matches. With several names, or a
// pattern, that is the interfaces that are there when ifup runs; they all take
// the logical name, and those that are not there are no error.
func debianStanzas(logical string, n machine.Network) string {
	var b strings.Builder
	words := strings.Fields(n.Match)
	if len(words) == 1 && !isPattern(words[0]) {
		return fmt.Sprintf("auto %s\n%s", words[0], stanzas(words[0], n))
	}
	b.WriteString("auto")
	for _, word := range words {
		fmt.Fprintf(&b, " /%s=%s", word, logical)
	}
	b.WriteString("\n" + stanzas(logical, n))
	return b.String()
}

// stanzas configure one interface; a gateway goes with the first address of
// its family.
func stanzas(name string, n machine.Network) string {
	var b strings.Builder
	more := bondLines(n.Bond)
	if len(n.DNS) > 0 {
		more += fmt.Sprintf("\tdns-nameservers %s\n", strings.Join(n.DNS, " "))
	}
	if n.DHCP {
		fmt.Fprintf(&b, "iface %s inet dhcp\n%s", name, more)
		more = ""
	}
	v4, v6 := gateways(n)
	for _, a := range n.Address {
		family, gateway := "inet", &v4
		if netip.MustParsePrefix(a).Addr().Is6() {
			family, gateway = "inet6", &v6
		}
		fmt.Fprintf(&b, "iface %s %s static\n\taddress %s\n", name, family, a)
		if *gateway != "" {
			fmt.Fprintf(&b, "\tgateway %s\n", *gateway)
			*gateway = ""
		}
		b.WriteString(more)
		more = ""
	}
	return b.String()
}

// busyboxStanzas have the mask in a line of its own: without it busybox passes
// the whole stanza over. That of IPv4 must have dots.
func busyboxStanzas(name string, n machine.Network) string {
	var b strings.Builder
	for line := range strings.Lines(stanzas(name, n)) {
		if address, ok := strings.CutPrefix(line, "\taddress "); ok {
			p := netip.MustParsePrefix(strings.TrimSpace(address))
			mask := strconv.Itoa(p.Bits())
			if p.Addr().Is4() {
				mask = net.IP(net.CIDRMask(p.Bits(), 32)).String()
			}
			line = fmt.Sprintf("\taddress %s\n\tnetmask %s\n", p.Addr(), mask)
		}
		b.WriteString(line)
	}
	return b.String()
}

// bondLines are the words of Debian's package ifenslave.
func bondLines(bond *machine.Bond) string {
	if bond == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\tbond-slaves %s\n\tbond-mode %s\n", strings.Join(bond.Members, " "), bondMode(bond))
	for _, o := range slices.Sorted(maps.Keys(bond.Options)) {
		fmt.Fprintf(&b, "\tbond-%s %s\n", strings.ReplaceAll(o, "_", "-"), bond.Options[o])
	}
	return b.String()
}

// hasProgram looks where programs of the administrator are.
func (j *job) hasProgram(name string) bool {
	return j.exists("/sbin/"+name) || j.exists("/usr/sbin/"+name)
}

// busyboxHas tells whether a program is a name of busybox.
func (j *job) busyboxHas(name string) bool {
	for _, dir := range []string{"/sbin/", "/usr/sbin/"} {
		if target, err := j.readLink(dir + name); err == nil {
			return path.Base(target) == "busybox"
		}
	}
	return false
}
