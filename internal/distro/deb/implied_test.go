package deb

import (
	"strings"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/plan"
)

func TestImplied(t *testing.T) {
	d := &machine.Definition{
		System:   "debian/trixie",
		Users:    []machine.User{{Name: "a", SSHKeys: []string{"x"}, Sudo: "nopasswd"}, {Name: "b", SSHKeys: []string{"y"}}},
		Timezone: "UTC", Locale: "de_DE.UTF-8", Network: []machine.Network{{Match: "e*"}},
	}
	show := func(class string) string {
		var s []string
		for _, p := range implied(d, plan.Class(class)) {
			s = append(s, p.Package+"<"+p.Key)
		}
		return strings.Join(s, " ")
	}
	want := "openssh-server<users.ssh_keys sudo<users.sudo tzdata<timezone locales<locale systemd<network"
	if got := show("plain"); got != want+" systemd-resolved<network" {
		t.Errorf("plain: %s", got)
	}
	if got := show("container"); got != "systemd-sysv<init "+want {
		t.Errorf("container: %s", got)
	}
	d.Locale = "C.UTF-8"
	if got := show("bootable"); strings.Contains(got, "locales") || !strings.HasPrefix(got, "systemd-sysv<init udev<init") {
		t.Errorf("bootable: %s", got)
	}
	d.Init = "none"
	if got := show("container"); got != "" {
		t.Errorf("init none: %s", got)
	}
}

// TestImpliedByChoices: a choice brings its package, and what that calls.
func TestImpliedByChoices(t *testing.T) {
	bond := &machine.Bond{Members: []string{"eth1"}}
	for _, c := range []struct {
		name, class string
		d           machine.Definition
		want        string
	}{
		{"networkd", "container", machine.Definition{}, "systemd"},
		{"resolved", "container", machine.Definition{Resolver: "resolved"}, "systemd systemd-resolved"},
		{"static", "bootable", machine.Definition{Resolver: "static"}, "systemd"},
		{"manager", "bootable", machine.Definition{NetworkBackend: "networkmanager"}, "network-manager"},
		{"named", "plain", machine.Definition{Packages: []string{"network-manager/trixie-backports"}}, "network-manager"},
		{"ifupdown", "plain", machine.Definition{NetworkBackend: "ifupdown", Resolver: "resolvconf"}, "ifupdown dhcpcd-base openresolv"},
		{"client", "plain", machine.Definition{NetworkBackend: "ifupdown", Packages: []string{"udhcpc=1.*"}}, "ifupdown"},
		{"bookworm", "plain", machine.Definition{System: "debian/bookworm", Packages: []string{"ifupdown"}}, "ifupdown isc-dhcp-client"},
		{"openrc", "plain", machine.Definition{Init: "openrc", Network: []machine.Network{{Match: "bond0", Address: []string{"192.0.2.7/24"}, Bond: bond}}}, "ifupdown ifenslave"},
		{"clock", "plain", machine.Definition{Time: machine.Time{Service: "chrony"}}, "systemd systemd-resolved chrony"},
		{"servers", "container", machine.Definition{Time: machine.Time{Servers: []string{"ntp.example.org"}}}, "systemd systemd-timesyncd"},
	} {
		if c.d.System == "" {
			c.d.System = "debian/trixie"
		}
		if c.d.Network == nil {
			c.d.Network = []machine.Network{{Match: "e*", DHCP: true}}
		}
		var got []string
		for _, p := range implied(&c.d, plan.Class(c.class)) {
			if p.Key != "init" && p.Key != "kernel" && p.Key != "boot.loader" {
				got = append(got, p.Package)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}
