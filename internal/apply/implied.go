package apply

import (
	"strings"

	"slipway/internal/machine"
)

// ImpliedPackage is a package that a key brings, and the key.
type ImpliedPackage struct {
	Name string
	Key  string
}

// The classes for which packages are resolved (docs/design.md, section 3).
const (
	classPlain     = "plain"
	classContainer = "container"
	classBootable  = "bootable"
)

// Implied lists the packages that the keys of a Debian-family definition need,
// each once, in the order of the keys. Nothing is implied with "init: none".
func Implied(d *machine.Definition, class string) []ImpliedPackage {
	if d.Init == "none" {
		return nil
	}
	l := &implied{}
	l.init(d, class)
	l.users(d)
	if len(d.Services.Enable)+len(d.Services.Disable) > 0 && d.Init == "openrc" {
		l.add("openrc", "services")
	}
	if d.Timezone != "" {
		l.add("tzdata", "timezone")
	}
	if needsLocales(d.Locale) {
		l.add("locales", "locale")
	}
	l.network(d, class)
	if class == classBootable {
		l.kernels(d)
		l.loaders(d)
	}
	for _, p := range d.Probes {
		if p.Login != nil {
			l.add("login", "probes.login")
		}
	}
	return l.list
}

type implied struct{ list []ImpliedPackage }

func (l *implied) add(name, key string) {
	for _, have := range l.list {
		if have.Name == name {
			return
		}
	}
	l.list = append(l.list, ImpliedPackage{name, key})
}

// init brings what boots. A container needs the init alone: its devices are
// given, and logind starts only where D-Bus is.
func (l *implied) init(d *machine.Definition, class string) {
	if class == classPlain {
		return
	}
	switch d.Init {
	case "", "auto", "systemd":
		l.add("systemd-sysv", "init")
	case "openrc":
		l.add("sysvinit-core", "init")
		l.add("openrc", "init")
	case "busybox":
		l.add("busybox-static", "init")
	}
	if class == classBootable && !strings.HasPrefix(d.Init, "/") {
		l.add("udev", "init")
		l.add("dbus", "init")
	}
}

// kernels brings what is started; a kernel from outside needs no package. The
// full kernel is the default, because the disk boots on real computers too.
func (l *implied) kernels(d *machine.Definition) {
	for _, k := range d.Kernels() {
		switch k.Package {
		case "", "none", "host":
		case "auto":
			l.add("linux-image-"+kernelArch(d.Arch), "kernel")
		default:
			l.add(k.Package, "kernel.package")
		}
	}
}

// kernelArch is how kernel packages call an architecture.
func kernelArch(arch string) string {
	switch arch {
	case "i386":
		return "686-pae"
	case "armhf":
		return "armmp"
	}
	return arch
}

// loaders brings the loaders' programs, so that the machine's own package
// manager keeps them up to date.
func (l *implied) loaders(d *machine.Definition) {
	if d.NoDisk() {
		return
	}
	for _, firmware := range d.Firmwares() {
		switch d.Loader(firmware) {
		case "systemd-boot", "uki":
			l.add("systemd-boot-efi", "boot.loader")
		case "grub":
			if firmware == "bios" {
				l.add("grub-pc-bin", "boot.loader")
			} else {
				l.add("grub-efi-"+d.Arch+"-bin", "boot.loader")
			}
		}
	}
}

func (l *implied) users(d *machine.Definition) {
	for _, u := range d.Users {
		if len(u.SSHKeys) > 0 {
			l.add("openssh-server", "users.ssh_keys")
		}
		if u.Sudo != "" {
			l.add("sudo", "users.sudo")
		}
	}
}

// network brings what configures interfaces. The resolver that turns leases
// into name servers is a package of its own in Debian; a container's name
// servers come at start.
func (l *implied) network(d *machine.Definition, class string) {
	if len(d.Network) == 0 {
		return
	}
	switch d.Init {
	case "", "auto", "systemd":
		l.add("systemd", "network")
		if class != classContainer {
			l.add("systemd-resolved", "network")
		}
	default:
		l.add("ifupdown", "network")
	}
}

// needsLocales tells whether a locale must be generated.
func needsLocales(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	return name != "" && base != "C" && base != "POSIX"
}
