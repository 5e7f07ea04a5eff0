package deb

import (
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/deb/control"
	"slipway/internal/machine"
)

// foundations are packages that many machines share and that cost the most to
// configure. Those that a definition has are installed first, with all they
// need, and kept as a layer of their own: a machine that differs in other
// packages alone does not configure them again. The list decides only what is
// shared, and in which of two turns a package is installed.
var foundations = map[string]bool{
	"systemd-sysv": true, "systemd": true, "dbus": true, "udev": true, "sysvinit-core": true, "openrc": true,
	"iproute2": true, "ca-certificates": true, "openssh-server": true,
}

func isFoundation(name string) bool {
	return foundations[name] || strings.HasPrefix(name, "linux-image-")
}

// firstTurn tells which of the packages that were asked for belong to the
// first turn: foundations, and what the base brings. It is nil when there is
// one turn only: without a foundation, and where the definition's answers and
// commands come before all packages.
func firstTurn(r distro.Request, local []*control.Package) func(*control.Package) bool {
	d := r.Definition
	if len(d.Debconf)+len(d.Hooks.Essential) > 0 {
		return nil
	}
	asked, any := askedNames(d), false
	for _, p := range local {
		asked[p.Name] = true
	}
	for _, i := range r.Implied {
		asked[i.Package] = true
	}
	for name := range asked {
		if strings.ContainsAny(name, "*?[") {
			return nil // the names behind a pattern are not known here
		}
		any = any || isFoundation(name)
	}
	if !any {
		return nil
	}
	return func(c *control.Package) bool { return isFoundation(c.Name) || !asked[c.Name] }
}

// askedNames are the names in packages:, without version, suite and architecture.
func askedNames(d *machine.Definition) map[string]bool {
	names := map[string]bool{}
	for _, spec := range d.Packages {
		if isLocal(spec) {
			continue
		}
		if i := strings.IndexAny(spec, "=/:"); i >= 0 {
			spec = spec[:i]
		}
		names[spec] = true
	}
	return names
}
