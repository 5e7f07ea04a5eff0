package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// offer is what a family has of a choice: a value, the init that it needs (""
// for any that starts services), and why a value that others have is missing.
type offer struct {
	valid map[string]string
	lacks map[string]string
}

// offers are the values of the three keys by family. Families that are not in
// it are not built, or come as a root archive, whose tree decides.
var offers = map[string]map[string]offer{
	"deb": {
		"network_backend": {
			valid: map[string]string{"networkd": "systemd", "ifupdown": "", "networkmanager": "systemd"},
			lacks: map[string]string{"busybox": "the busybox of this family has no ifup"},
		},
		"resolver": {valid: map[string]string{"resolved": "systemd", "resolvconf": "", "static": ""}},
		"time.service": {
			valid: map[string]string{"timesyncd": "systemd", "chrony": "", "openntpd": "", "none": ""},
			lacks: map[string]string{"ntpd": "the busybox of this family has no ntpd"},
		},
	},
	"apk": {
		"network_backend": {
			valid: map[string]string{"ifupdown": "", "busybox": ""},
			lacks: map[string]string{
				"networkd":       "Alpine has no systemd",
				"networkmanager": "slipway does not set up NetworkManager on Alpine",
			},
		},
		"resolver": {
			valid: map[string]string{"static": ""},
			lacks: map[string]string{
				"resolved":   "Alpine has no systemd",
				"resolvconf": "Alpine's DHCP client writes /etc/resolv.conf by itself",
			},
		},
		"time.service": {
			valid: map[string]string{"chrony": "", "openntpd": "", "ntpd": "", "none": ""},
			lacks: map[string]string{"timesyncd": "Alpine has no systemd"},
		},
	},
}

// choices checks that the family has what was chosen, that the init starts it,
// and that it can do what the definition says.
func (v *validator) choices() {
	d := v.d
	v.offered("network_backend", d.NetworkBackend)
	v.offered("resolver", d.Resolver)
	v.offered("time.service", d.Time.Service)
	if len(d.Network) == 0 {
		v.needsNetwork("network_backend", d.NetworkBackend)
		v.needsNetwork("resolver", d.Resolver)
	}
	v.resolverFits()
	v.timeFits()
	v.backendFits()
}

func (v *validator) needsNetwork(key, value string) {
	if chosen(value) {
		v.at(key, value, "there is no network: that it would be for", "add network, or remove the key")
	}
}

// offered refuses what the machine's family or init cannot have.
func (v *validator) offered(key, value string) {
	if !chosen(value) {
		return
	}
	if value == "netifrc" {
		v.at(key, value, "netifrc is Gentoo's, and slipway does not build Gentoo yet", "leave the key out")
		return
	}
	family := v.d.Family()
	o, known := offers[family][key]
	if !known || v.d.FromTarball() {
		return
	}
	var names []string
	for name := range o.valid {
		names = append(names, name)
	}
	slices.Sort(names)
	need, ok := o.valid[value]
	init := v.d.InitSystem()
	switch {
	case !ok:
		v.at(key, value, fmt.Sprintf("%s cannot be had on %s: %s", value, v.d.System, o.lacks[value]), "write one of: "+strings.Join(names, ", "))
	case need != "" && need != init:
		v.at(key, value, fmt.Sprintf("%s needs init: %s, and this machine has %s", value, need, init), "choose another, or write init: "+need)
	case init == "none":
		v.at(key, value, "with init: none nothing starts it", "remove the key or give the machine an init")
	}
}

// resolverFits checks the resolver against who tells it the name servers.
func (v *validator) resolverFits() {
	d := v.d
	switch {
	case d.Resolver == "resolvconf" && d.ChosenNetwork() == "networkd":
		v.at("resolver", d.Resolver, "systemd-networkd tells name servers to systemd-resolved alone", "write resolver: resolved or static, or another network_backend")
	case d.Resolver == "static" && len(d.Network) > 0 && len(d.NameServers()) == 0:
		v.at("resolver", d.Resolver, "static writes the name servers that network names, and it names none", "add dns to an item of network")
	}
}

// timeFits checks what is said of the clock.
func (v *validator) timeFits() {
	d := v.d
	init := d.InitSystem()
	switch {
	case d.Time.Service == "none" && len(d.Time.Servers) > 0:
		v.at("time.servers", "", "with service: none nobody asks the servers", "remove one of them")
	case d.ChosenTime() == "":
	case d.FromTarball() && !chosen(d.Time.Service):
		v.at("time", "", "which time service a root archive (from) has is not known", "name it with service")
	case init != "systemd" && init != "openrc" && init != "none" && init != "":
		v.at("time", "", fmt.Sprintf("init: %s starts no services", init), "remove time, or choose init: systemd or openrc")
	}
}

// backendFits checks what not every backend can do.
func (v *validator) backendFits() {
	d := v.d
	plain := d.Family() == "apk" && !d.FromTarball() || d.NetworkBackend == "busybox"
	for i, n := range d.Network {
		key := fmt.Sprintf("network.%d", i)
		if plain && n.Bond != nil {
			v.at(key+".bond", n.Match, fmt.Sprintf("the ifup of %s makes no bonds", d.System), "remove the bond")
		}
		if plain && strings.ContainsAny(n.Match, "*?[") {
			v.at(key+".match", n.Match, fmt.Sprintf("the ifup of %s takes no patterns, an interface needs its full name", d.System), `for example match: "eth0 host0"; names that are not there do no harm`)
		}
		v.gatewayFamily(key+".gateway", n.Gateway, n.Address)
		v.gatewayFamily(key+".gateway6", n.Gateway6, n.Address)
	}
}

// gatewayFamily wants an address from which the gateway can be reached.
func (v *validator) gatewayFamily(key, gateway string, addresses []string) {
	g, err := netip.ParseAddr(gateway)
	if err != nil || len(addresses) == 0 {
		return
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a); err != nil || p.Addr().Is6() == g.Is6() {
			return
		}
	}
	version := 4
	if g.Is6() {
		version = 6
	}
	v.at(key, gateway, fmt.Sprintf("there is no address of IPv%d from which %s can be reached", version, gateway), "add one to address")
}
