package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

func TestHostname(t *testing.T) {
	f := newFixture(t)
	f.must(machine.Definition{Hostname: "web"})
	f.has("/etc/hostname", "web\n", 0o644)
	f.has("/etc/hosts", strings.Replace(emptyHosts, "localhost\n", "localhost\n127.0.1.1\tweb\n", 1), 0o644)
	f.must(machine.Definition{Hostname: "mail.example.org"})
	f.has("/etc/hosts", strings.Replace(emptyHosts, "localhost\n", "localhost\n127.0.1.1\tmail.example.org mail\n", 1), 0o644)
	f.refused(machine.Definition{Hostname: "bad_name"}, "no host name")
	for have, want := range map[string]string{
		"":               "127.0.1.1\tx\n",
		"::1 a\n":        "127.0.1.1\tx\n::1 a\n",
		"127.0.0.1 l\n#": "127.0.0.1 l\n127.0.1.1\tx\n#\n",
	} {
		if got := ownHosts(have, "x"); got != want {
			t.Errorf("%q became %q, want %q", have, got, want)
		}
	}
}

func TestTimezone(t *testing.T) {
	f := newFixture(t)
	f.refused(machine.Definition{Timezone: "UTC"}, "tzdata")
	f.put(zones+"/Europe/Berlin", "")
	f.put(zones+"/UTC", "")
	f.must(machine.Definition{Timezone: "Europe/Berlin"})
	f.leads("/etc/localtime", zones+"/Europe/Berlin")
	f.has("/etc/timezone", "Europe/Berlin\n", 0o644)
	f.refused(machine.Definition{Timezone: "Europe/Berlyn"}, "did you mean Europe/Berlin")
	f.refused(machine.Definition{Timezone: "Europe"}, "no time zone")
	f.refused(machine.Definition{Timezone: "../../../etc/passwd"}, "no time zone")
}

func TestLocale(t *testing.T) {
	f := newFixture(t)
	f.must(machine.Definition{Locale: "C.UTF-8"})
	f.has("/etc/default/locale", "LANG=C.UTF-8\n", 0o644)
	f.absent("/etc/locale.conf")
	f.refused(machine.Definition{Locale: "de_DE.UTF-8"}, "add the package locales")
	f.put("/usr/sbin/locale-gen", "")
	f.put("/usr/share/i18n/SUPPORTED", "de_DE.UTF-8 UTF-8\nde_AT.UTF-8 UTF-8\n")
	f.put("/etc/locale.gen", "# a comment\n#  de_DE.UTF-8 UTF-8\n# de_AT.UTF-8 UTF-8\n")
	f.put("/etc/locale.conf", "")
	f.must(machine.Definition{Locale: "de_DE.UTF-8"})
	f.has("/etc/locale.gen", "# a comment\nde_DE.UTF-8 UTF-8\n# de_AT.UTF-8 UTF-8\n", 0o644)
	f.has("/etc/locale.conf", "LANG=de_DE.UTF-8\n", 0o644)
	if len(f.ran) != 1 || f.ran[0] != "locale-gen" {
		t.Errorf("ran %q", f.ran)
	}
	f.refused(machine.Definition{Locale: "de_DD.UTF-8"}, "did you mean de_")
	f.refused(machine.Definition{Locale: "$(reboot)"}, "no locale")
}

func TestSysctlAndMounts(t *testing.T) {
	f := newFixture(t)
	f.put("/etc/fstab", "# UNCONFIGURED FSTAB FOR BASE SYSTEM")
	f.must(machine.Definition{
		Sysctl: map[string]string{"vm.swappiness": "10", "net.ipv4.ip_forward": "1"},
		Mounts: []machine.Mount{
			{What: "LABEL=data", Where: "/srv/my data", Type: "ext4", Options: "noatime"},
			{What: "tmpfs", Where: "/tmp", Type: "tmpfs"},
			{What: "/swap", Where: "none", Type: "swap"},
		},
	})
	f.has("/etc/sysctl.d/60-slipway.conf", "net.ipv4.ip_forward = 1\nvm.swappiness = 10\n", 0o644)
	f.has("/etc/fstab", "# UNCONFIGURED FSTAB FOR BASE SYSTEM\nLABEL=data\t/srv/my\\040data\text4\tnoatime\t0\t0\n"+
		"tmpfs\t/tmp\ttmpfs\tdefaults\t0\t0\n/swap\tnone\tswap\tdefaults\t0\t0\n", 0o644)
	f.mode("/srv/my data", 0o755)
	f.refused(machine.Definition{Sysctl: map[string]string{"a": "1\nb = 2"}}, "no kernel setting")
	f.refused(machine.Definition{Mounts: []machine.Mount{{What: "x"}}}, "where")
}

func TestNetworkd(t *testing.T) {
	f := systemdTree(t)
	d := machine.Definition{Network: []machine.Network{
		{Match: "en*  host0", DHCP: true},
		{Match: "lan0", Address: []string{"192.0.2.7/24", "2001:db8::7/64"}, Gateway: "192.0.2.1", DNS: []string{"192.0.2.53"}},
	}}
	f.refused(d, "add the package systemd")
	f.put("/usr/lib/systemd/systemd-networkd", "")
	f.put(unitLib+"systemd-networkd.service", "[Install]\nWantedBy=multi-user.target\n")
	f.must(d)
	f.has("/etc/systemd/network/50-slipway-0.network", "[Match]\nName=en* host0\n\n[Network]\nDHCP=yes\n", 0o644)
	f.has("/etc/systemd/network/50-slipway-1.network", "[Match]\nName=lan0\n\n[Network]\nAddress=192.0.2.7/24\nAddress=2001:db8::7/64\nGateway=192.0.2.1\nDNS=192.0.2.53\n", 0o644)
	f.leads("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", unitLib+"systemd-networkd.service")
	f.refused(machine.Definition{Network: []machine.Network{{Match: "x", Address: []string{"192.0.2.7"}}}}, "192.0.2.7/24")
	f.refused(machine.Definition{Network: []machine.Network{{Match: " "}}}, "no interface")
}

func TestIfupdown(t *testing.T) {
	f := newFixture(t)
	f.env.Init = "openrc"
	f.put("/sbin/ifup", "")
	f.must(machine.Definition{Network: []machine.Network{
		{Match: "eth0", DHCP: true},
		{Match: "eth1", Address: []string{"192.0.2.7/24", "2001:db8::7/64"}, Gateway: "2001:db8::1"},
	}})
	f.has("/etc/network/interfaces.d/slipway", "auto eth0\niface eth0 inet dhcp\nauto eth1\niface eth1 inet static\n\taddress 192.0.2.7/24\n"+
		"iface eth1 inet6 static\n\taddress 2001:db8::7/64\n\tgateway 2001:db8::1\n", 0o644)
	if _, err := os.Stat(filepath.Join(f.dir, "etc/network/interfaces")); err != nil {
		t.Error(err)
	}
	f.env.Family = "apk"
	f.refused(machine.Definition{Network: []machine.Network{{Match: "eth*"}}}, "full name")
}
