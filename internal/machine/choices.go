package machine

import (
	"path"
	"slices"
	"strings"
)

// The programs that can be chosen for what every machine needs done by one of
// several (network_backend, resolver, time.service).
var (
	networkBackends = []string{"networkd", "ifupdown", "networkmanager", "busybox"}
	resolvers       = []string{"resolved", "resolvconf", "static"}
	timeServices    = []string{"timesyncd", "chrony", "openntpd", "ntpd", "none"}
)

// hintNetworkBackend knows what else they are called.
func hintNetworkBackend(text string) string {
	switch strings.ToLower(text) {
	case "systemd", "systemd-networkd":
		return didYouMean("networkd")
	case "network-manager", "nm":
		return didYouMean("networkmanager")
	case "ifupdown-ng", "ifupdown2":
		return didYouMean("ifupdown")
	}
	return didYouMean(nearest(text, networkBackends))
}

func hintTimeService(text string) string {
	switch strings.ToLower(text) {
	case "systemd-timesyncd":
		return didYouMean("timesyncd")
	case "chronyd":
		return didYouMean("chrony")
	}
	return didYouMean(nearest(text, timeServices))
}

// Names tells whether packages: has a package of this name, in whatever form
// the family's tools take it.
func (d *Definition) Names(pkg string) bool {
	return slices.ContainsFunc(d.Packages, func(spec string) bool {
		if at := strings.IndexAny(spec, "=<>~/@:"); at >= 0 && !IsLocalPackage(spec) {
			spec = spec[:at]
		}
		return spec == pkg
	})
}

func chosen(value string) bool { return value != "" && value != "auto" }

// ChosenNetwork is the network backend with auto resolved: what the init and
// the named packages suggest. Empty: nothing is to be configured, or only the
// tree can tell, because it comes from a root archive.
func (d *Definition) ChosenNetwork() string {
	switch {
	case len(d.Network) == 0:
		return ""
	case chosen(d.NetworkBackend):
		return d.NetworkBackend
	case d.FromTarball() || d.System == "":
		return ""
	case d.InitSystem() != "systemd":
		return "ifupdown"
	case d.Family() == "deb" && d.Names("network-manager"):
		return "networkmanager"
	case d.Family() == "deb" && d.Names("ifupdown"):
		return "ifupdown"
	}
	return "networkd"
}

// ChosenResolver is the resolver that was asked for, "" if that was left to the
// network backend.
func (d *Definition) ChosenResolver() string {
	if len(d.Network) == 0 || !chosen(d.Resolver) {
		return ""
	}
	return d.Resolver
}

// ChosenTime is the time service with auto resolved, "" if nothing was said of
// the clock.
func (d *Definition) ChosenTime() string {
	if chosen(d.Time.Service) {
		return d.Time.Service
	}
	if len(d.Time.Servers) == 0 {
		return ""
	}
	for _, service := range []string{"chrony", "openntpd"} {
		if d.Names(service) {
			return service
		}
	}
	switch {
	case d.Family() == "apk":
		return "ntpd"
	case d.InitSystem() == "systemd":
		return "timesyncd"
	}
	return "chrony"
}

// NameServers are those that network: names, in their order.
func (d *Definition) NameServers() []string {
	var list []string
	for _, n := range d.Network {
		for _, a := range n.DNS {
			if !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// Configures tells whether network has an item for an interface, so that nobody
// else may touch it.
func (d *Definition) Configures(name string) bool {
	return slices.ContainsFunc(d.Network, func(n Network) bool {
		return n.Bond != nil && slices.Contains(n.Bond.Members, name) ||
			slices.ContainsFunc(strings.Fields(n.Match), func(pattern string) bool {
				ok, err := path.Match(pattern, name)
				return ok && err == nil
			})
	})
}

// subject is what the probe looks at, which is its name too.
func (b *BackendProbe) subject() string {
	switch {
	case b.Resolver != "":
		return "resolver"
	case b.Time != "":
		return "clock"
	}
	return "network"
}

// labName is a name that the lab's own name server answers, which a machine
// learns of by DHCP.
const labName = "host.lab"

// proveChoices adds a probe for every choice that was made, unless the
// definition has it or nobody will be in the machine to look.
func (d *Definition) proveChoices() {
	if d.Boot.Initramfs == "distro" || d.Boot.Initramfs == "none" || d.InitSystem() == "none" {
		return
	}
	add := func(key string, b BackendProbe) {
		same := func(p Probe) bool {
			o := p.Backend
			return o != nil && o.Network == b.Network && o.Resolver == b.Resolver && o.Time == b.Time
		}
		if !slices.ContainsFunc(d.Probes, same) {
			d.Probes = append(d.Probes, Probe{Backend: &b, Pos: d.At(key)})
		}
	}
	if chosen(d.NetworkBackend) && len(d.Network) > 0 {
		add("network_backend", BackendProbe{Network: d.NetworkBackend})
	}
	if r := d.ChosenResolver(); r != "" {
		b := BackendProbe{Resolver: r}
		if len(d.NameServers()) == 0 {
			b.Asks = labName
		}
		add("resolver", b)
	}
	if t := d.ChosenTime(); t != "" {
		add("time", BackendProbe{Time: t})
	}
}
