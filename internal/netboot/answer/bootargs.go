package answer

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"slipway/internal/machine"
)

// Loader is what hands the command line to the kernel: each has its own
// characters that mean something else.
type Loader string

// The loaders.
const (
	IPXE     Loader = "ipxe"
	Syslinux Loader = "syslinux"
	GRUB     Loader = "grub"
	Direct   Loader = "direct" // no loader reads the line, such as QEMU's own
)

// BootArgs is the command line that makes an installer fetch its answer and ask
// nothing, in the loader's own quoting. Further words (Facts.Args) come last.
func BootArgs(kind Kind, d *machine.Definition, f Facts, loader Loader) (string, error) {
	words, ok := map[Kind]func(*machine.Definition, Facts) ([]string, error){
		Kickstart: kickstartArgs, Preseed: preseedArgs, Autoinstall: autoinstallArgs, NoCloud: nocloudArgs,
		Ignition: ignitionArgs, Alpine: alpineArgs,
	}[kind]
	if !ok {
		return "", fmt.Errorf("there is no format of answers %q; there are %s", kind, strings.Join(kindNames(), ", "))
	}
	if f.Base == "" || !strings.HasSuffix(f.Base, "/") {
		return "", fmt.Errorf("the command line of %s: the base address %q does not end with a slash", d.Name, f.Base)
	}
	list, err := words(d, f)
	if err != nil {
		return "", err
	}
	for _, c := range d.Boot.Console {
		list = append(list, "console="+c)
	}
	list = append(list, f.Args...)
	for i, w := range list {
		if strings.ContainsAny(w, "\n\t \"'") || loader == IPXE && strings.Contains(w, "${") {
			return "", fmt.Errorf("the command line of %s: %q cannot stand in one", d.Name, w)
		}
		list[i] = loader.quote(w)
	}
	return strings.Join(list, " "), nil
}

// quote protects a word from the loader. GRUB takes a semicolon, braces and a
// dollar for its own; the others take them as they are, and a quote mark would
// reach the kernel there.
func (l Loader) quote(word string) string {
	switch {
	case l == GRUB && strings.ContainsAny(word, ";&|<>{}$#"):
		return `"` + strings.ReplaceAll(word, "$", `\$`) + `"`
	}
	return word
}

// bootif is the card that the machine boots from, as PXE writes it.
func bootif(f Facts) []string {
	if len(f.MACs) == 0 {
		return nil
	}
	return []string{"BOOTIF=01-" + strings.ReplaceAll(f.MACs[0].String(), ":", "-")}
}

func kickstartArgs(d *machine.Definition, f Facts) ([]string, error) {
	out := []string{"inst.ks=" + f.Base + Kickstart.Name(), "inst.ks.sendmac", "inst.ks.sendsn", "inst.repo=" + or(f.Image, Tree(d, f)), "inst.text"}
	if f.Syslog != "" {
		out = append(out, "inst.syslog="+f.Syslog)
	}
	return append(append(out, dracutNetwork(d)...), bootif(f)...), nil
}

// dracutNetwork brings up the card by which the installer reaches the server.
// The addresses of the machine itself are the kickstart's.
func dracutNetwork(*machine.Definition) []string { return []string{"ip=dhcp", "rd.neednet=1"} }

func preseedArgs(d *machine.Definition, f Facts) ([]string, error) {
	out := []string{
		"auto=true", "priority=critical", "url=" + f.Base + Preseed.Name(),
		"locale=" + installerLocale(d), "keymap=" + or(f.Keyboard, "us"), "hostname=" + hostname(d), "domain=unassigned-domain",
	}
	// A network that leads nowhere else is no reason to stop and ask.
	out = append(append(out, "interface=auto", "netcfg/no_default_route=true"), bootif(f)...)
	static, err := preseedStatic(d)
	if err != nil {
		return nil, err
	}
	out = append(out, static...)
	if f.Syslog != "" {
		host, port, err := net.SplitHostPort(f.Syslog)
		if err != nil {
			return nil, fmt.Errorf("the address of syslog: %w", err)
		}
		out = append(out, "log_host="+host, "log_port="+port)
	}
	return out, nil
}

// preseedStatic is the fixed address of the only card, which the installer keeps
// for the installed system.
func preseedStatic(d *machine.Definition) ([]string, error) {
	if len(d.Network) == 0 || !simple(d) || d.Network[0].DHCP {
		// Asked only where DHCP brings no name server.
		dns := ""
		if len(d.Network) == 1 && len(d.Network[0].DNS) > 0 {
			dns = d.Network[0].DNS[0]
		}
		return []string{"netcfg/get_nameservers=" + dns}, nil
	}
	n := d.Network[0]
	p, err := netip.ParsePrefix(n.Address[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.At("network.0.address.0"), err)
	}
	v4, v6 := gateways(n)
	gateway, mask := v4, ""
	if p.Addr().Is6() {
		gateway, mask = v6, fmt.Sprintf("ffff:ffff:ffff:ffff::/%d", p.Bits())
	} else {
		mask = netmask(p)
	}
	out := []string{"netcfg/disable_autoconfig=true", "netcfg/get_ipaddress=" + p.Addr().String(), "netcfg/get_netmask=" + mask,
		"netcfg/get_gateway=" + or(gateway, "none"), "netcfg/confirm_static=true"}
	if len(n.DNS) > 0 {
		out = append(out, "netcfg/get_nameservers="+n.DNS[0])
	} else {
		out = append(out, "netcfg/get_nameservers=none")
	}
	if p.Addr().Is6() {
		out[2] = "netcfg/get_ipaddress=" + n.Address[0]
		out = append(out[:1], out[2:]...)
	}
	return out, nil
}

// autoinstallArgs: without cloud-config-url cloud-init fetches the whole live
// image to look for its configuration.
func autoinstallArgs(d *machine.Definition, f Facts) ([]string, error) {
	if f.Image == "" {
		return nil, fmt.Errorf("the command line of %s: Ubuntu's installer needs its live image (netboot.installer.image)", d.Name)
	}
	return []string{"ip=dhcp", "root=/dev/ram0", "ramdisk_size=1500000", "iso-url=" + f.Image, "cloud-config-url=/dev/null",
		"autoinstall", "ds=nocloud;s=" + f.Base}, nil
}

func nocloudArgs(_ *machine.Definition, f Facts) ([]string, error) {
	return []string{"ip=dhcp", "ds=nocloud;s=" + f.Base}, nil
}

func ignitionArgs(d *machine.Definition, f Facts) ([]string, error) {
	config := f.Base + Ignition.Name()
	if strings.Contains(f.Image, "flatcar") || f.Image == "" { // Flatcar's initrd has its root inside
		return []string{"ip=dhcp", "flatcar.first_boot=1", "ignition.config.url=" + config}, nil
	}
	out := []string{"ip=dhcp", "rd.neednet=1", "coreos.live.rootfs_url=" + f.Image}
	if f.Disk == "" {
		return append(out, "ignition.firstboot", "ignition.platform.id=metal", "ignition.config.url="+config), nil
	}
	if strings.HasPrefix(f.Disk, "serial:") {
		return nil, fmt.Errorf("the command line of %s: CoreOS's installer needs the path of a disk, not its serial number (netboot.disk)", d.Name)
	}
	return append(out, "coreos.inst.install_dev="+f.Disk, "coreos.inst.ignition_url="+config, "coreos.inst.insecure"), nil
}

func alpineArgs(d *machine.Definition, f Facts) ([]string, error) {
	if f.Image == "" {
		return nil, fmt.Errorf("the command line of %s: Alpine needs the modloop of its kernel (netboot.installer.image)", d.Name)
	}
	return []string{"ip=dhcp", "modules=loop,squashfs,sd-mod,usb-storage", "modloop=" + f.Image, "alpine_repo=" + alpineMain(d, f),
		"apkovl=" + f.Base + Alpine.Name()}, nil
}
