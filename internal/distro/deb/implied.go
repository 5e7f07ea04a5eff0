package deb

import (
	"strings"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// Implied implements distro.Family.
func (f *Family) Implied(d *machine.Definition, class plan.Class) []distro.Implied {
	return implied(d, class)
}

// implied lists the packages that the keys of a definition need.
func implied(d *machine.Definition, class plan.Class) []distro.Implied {
	if d.Init == "none" {
		return nil
	}
	l := &distro.ImpliedList{}
	impliedInit(l, d, class)
	impliedUsers(l, d)
	if len(d.Services.Enable)+len(d.Services.Disable) > 0 && d.Init == "openrc" {
		l.Add("openrc", "services")
	}
	if d.Timezone != "" {
		l.Add("tzdata", "timezone")
	}
	if d.NeedsLocales() {
		l.Add("locales", "locale")
	}
	impliedNetwork(l, d, class)
	impliedResolver(l, d, class)
	impliedTime(l, d)
	if class == plan.Bootable {
		impliedKernels(l, d)
		impliedLoaders(l, d)
	}
	for _, p := range d.Probes {
		if p.Login != nil {
			l.Add("login", "probes.login")
		}
	}
	return l.All()
}

// impliedInit brings what boots. A container needs the init alone: its devices are
// given, and logind starts only where D-Bus is.
func impliedInit(l *distro.ImpliedList, d *machine.Definition, class plan.Class) {
	if class == plan.Plain {
		return
	}
	switch d.Init {
	case "", "auto", "systemd":
		l.Add("systemd-sysv", "init")
	case "openrc":
		l.Add("sysvinit-core", "init")
		l.Add("openrc", "init")
	case "busybox":
		l.Add("busybox-static", "init")
	}
	if class == plan.Bootable && !strings.HasPrefix(d.Init, "/") {
		l.Add("udev", "init")
		l.Add("dbus", "init")
	}
}

// impliedKernels brings what is started; a kernel from outside needs no package. The
// full kernel is the default, because the disk boots on real computers too.
func impliedKernels(l *distro.ImpliedList, d *machine.Definition) {
	for _, k := range d.Kernels() {
		switch k.Package {
		case "", "none", "host":
		case "auto":
			l.Add(namingOf(d).kernel(d.Arch), "kernel")
		default:
			l.Add(k.Package, "kernel.package")
		}
	}
}

// impliedLoaders brings the loaders' programs, so that the machine's own package
// manager keeps them up to date.
func impliedLoaders(l *distro.ImpliedList, d *machine.Definition) {
	if d.NoDisk() {
		return
	}
	for _, firmware := range d.Firmwares() {
		switch d.Loader(firmware) {
		case "systemd-boot", "uki":
			if !namingOf(d).whole(d) {
				l.Add("systemd-boot-efi", "boot.loader")
			}
		case "grub":
			if firmware == "bios" {
				l.Add("grub-pc-bin", "boot.loader")
			} else {
				l.Add("grub-efi-"+d.Arch+"-bin", "boot.loader")
			}
		}
	}
}

func impliedUsers(l *distro.ImpliedList, d *machine.Definition) {
	for _, u := range d.Users {
		if len(u.SSHKeys) > 0 {
			l.Add("openssh-server", "users.ssh_keys")
		}
		if u.Sudo != "" {
			l.Add("sudo", "users.sudo")
		}
	}
}
