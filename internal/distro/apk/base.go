package apk

import (
	"fmt"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/apk/index"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// baseSets are the sets that can be named by base; the first is the default.
var baseSets = map[string][]string{
	"alpine-base": {"alpine-base"},
	"minirootfs":  {"alpine-baselayout", "alpine-keys", "apk-tools", "busybox", "libc-utils"},
	"empty":       nil,
}

const defaultBase = "alpine-base"

func baseSet(d *machine.Definition) ([]string, error) {
	name := d.Base
	if name == "" {
		name = defaultBase
	}
	set, ok := baseSets[name]
	if !ok {
		return nil, fmt.Errorf("%s: base: %q is no base set of Alpine; valid: alpine-base, minirootfs, empty", d.At("base"), name)
	}
	return set, nil
}

// Implied implements distro.Family.
func (f *Family) Implied(d *machine.Definition, class plan.Class) []distro.Implied {
	if d.Init == "none" {
		return nil
	}
	l := &distro.ImpliedList{}
	if class != plan.Plain {
		switch d.InitSystem() {
		case "openrc":
			l.Add("openrc", "init")
			l.Add("busybox-openrc", "init")
		case "busybox":
			l.Add("busybox", "init")
		}
	}
	impliedUsers(l, d)
	if len(d.Services.Enable)+len(d.Services.Disable) > 0 {
		l.Add("openrc", "services")
	}
	if d.Timezone != "" {
		l.Add("tzdata", "timezone")
	}
	if d.NeedsLocales() {
		l.Add("musl-locales", "locale")
	}
	impliedChoices(l, d)
	if class == plan.Bootable {
		impliedKernels(l, d)
	}
	return l.All()
}

// impliedChoices brings who does the network and the clock. busybox can do both;
// its ntpd has its service in a package of its own.
func impliedChoices(l *distro.ImpliedList, d *machine.Definition) {
	switch d.ChosenNetwork() {
	case "ifupdown":
		l.Add("ifupdown-ng", "network")
	case "busybox": // an empty package, which keeps OpenRC from bringing the other
		l.Add("busybox-ifupdown", "network_backend")
	}
	switch service := d.ChosenTime(); service {
	case "ntpd":
		l.Add("busybox-openrc", "time")
	case "chrony", "openntpd":
		l.Add(service, "time")
		l.Add(service+"-openrc", "time")
	}
}

// impliedUsers: who may become root does so by doas, Alpine's way, unless the
// definition has sudo.
func impliedUsers(l *distro.ImpliedList, d *machine.Definition) {
	for _, u := range d.Users {
		if len(u.SSHKeys) > 0 {
			l.Add("openssh-server", "users.ssh_keys")
			l.Add("openssh-keygen", "users.ssh_keys")
		}
		if u.Sudo != "" && !asksFor(d, "sudo") {
			l.Add("doas", "users.sudo")
		}
	}
}

func impliedKernels(l *distro.ImpliedList, d *machine.Definition) {
	for _, k := range d.Kernels() {
		switch k.Package {
		case "", "none", "host":
		case "auto":
			l.Add("linux-lts", "kernel")
		default:
			l.Add(k.Package, "kernel.package")
		}
	}
}

// asksFor tells whether packages: names this one.
func asksFor(d *machine.Definition, name string) bool {
	for _, spec := range d.Packages {
		if !machine.IsLocalPackage(spec) {
			if dep, err := parseSpec(spec); err == nil && dep.Name == name {
				return true
			}
		}
	}
	return false
}

// parseSpec reads a word of packages: as apk writes it, or in the form that
// all families have: a version pattern means a prefix, and name/tag a tag.
func parseSpec(spec string) (index.Dependency, error) {
	if name, rest, ok := strings.Cut(spec, "="); ok && strings.HasSuffix(rest, "*") && !strings.ContainsAny(name, "<>~") {
		spec = name + "~" + strings.TrimSuffix(strings.TrimSuffix(rest, "*"), ".")
	}
	if name, tag, ok := strings.Cut(spec, "/"); ok && !strings.HasPrefix(spec, "/") && !strings.ContainsAny(name, "=<>~:") {
		spec = name + "@" + tag
	}
	return index.ParseDependency(spec)
}
