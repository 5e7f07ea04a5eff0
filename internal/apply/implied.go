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
	if class == classBootable {
		l.add("udev", "init")
		l.add("dbus", "init")
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
