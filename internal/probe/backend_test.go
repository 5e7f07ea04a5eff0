package probe

import (
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
)

// What the kernel has of host0 with 10.118.111.129/24, and of eth1 with an
// address of IPv6.
const tables = `route Iface	Destination	Mask
route host0	00000000	00000000
route host0	006F760A	00FFFFFF
local Main:
local   +-- 10.118.111.0/24 2 0 2
local      |-- 10.118.111.0
local         /24 link UNICAST
local      |-- 10.118.111.129
local         /32 host LOCAL
local      |-- 10.118.111.255
local         /32 link BROADCAST
local      |-- 127.0.0.1
local         /32 host LOCAL
inet6 fe800000000000005053dcfffe9ccb42 02 40 20 80    host0
inet6 20010db8000000000000000000000007 03 40 00 80     eth1
`

func TestBackendNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, backend string
		ok                  bool
		seen                string
	}{
		{"networkd", "running systemd-networkd.service\nnetworkd lo unmanaged\nnetworkd host0 configured\n" + tables, "networkd", true, ""},
		{"configuring", "running systemd-networkd.service\nnetworkd host0 configuring\n" + tables, "networkd", false, "networkd, which has no interface"},
		{"not running", "networkd host0 configured\n" + tables, "networkd", false, "networkd, which does not run"},
		{"two", "running systemd-networkd.service\nrunning NetworkManager.service\nnetworkd host0 configured\n" + tables, "networkd", false, "networkmanager, which runs too"},
		{"manager", "running NetworkManager.service\nnetworkmanager connected:eth1\nnetworkmanager connected (externally):lo\n" + tables, "networkmanager", true, ""},
		{"external", "running NetworkManager.service\nnetworkmanager connected (externally):host0\n" + tables, "networkmanager", false, "no interface"},
		{"no address", "running NetworkManager.service\nnetworkmanager connected:eth7\n" + tables, "networkmanager", false, "no address at eth7"},
		{"link-local", "running networking.service\nifup lo=lo\nifup host0=slipway0\n" + strings.Replace(tables, "host LOCAL", "link UNICAST", 1), "ifupdown", false, "no address at host0"},
		{"ifupdown", "running networking.service\nifup lo=lo\nifup host0=slipway0\n" + tables, "ifupdown", true, ""},
		{"ng", "running openrc:networking\nifup lo 1\nifup host0 1\n" + tables, "ifupdown", true, ""},
		{"busybox", "running openrc:networking\nbusybox ifup\nifup lo=lo\nifup host0=host0\n" + tables, "busybox", true, ""},
		{"ng, not busybox", "running openrc:networking\nifup host0 1\n" + tables, "busybox", false, "not busybox's"},
		{"busybox, not ng", "running openrc:networking\nbusybox ifup\nifup host0=host0\n" + tables, "ifupdown", false, "an ifup that is busybox's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			backend(t, machine.BackendProbe{Network: c.backend}, c.text, c.ok, c.seen)
		})
	}
}

func TestBackendResolver(t *testing.T) {
	t.Parallel()
	const stub = "link /run/systemd/resolve/stub-resolv.conf\nnameserver 127.0.0.53\n"
	for _, c := range []struct {
		name, text, resolver, asks string
		ok                         bool
		seen                       string
	}{
		{"resolved", "running systemd-resolved.service\n" + stub, "resolved", "", true, ""},
		{"resolved answers", "running systemd-resolved.service\n" + stub + "answer 10.118.111.1    STREAM host.lab\n", "resolved", "host.lab", true, ""},
		{"no answer", "running systemd-resolved.service\n" + stub, "resolved", "host.lab", false, "no answer for host.lab from 127.0.0.53"},
		{"not running", stub, "resolved", "", false, "which does not run"},
		{"own file", "running systemd-resolved.service\nnameserver 10.118.111.1\n", "resolved", "", false, "not systemd-resolved's"},
		{"static", "nameserver 192.0.2.53\n", "static", "", true, ""},
		{"static by resolved", stub, "static", "", false, "that is systemd-resolved's"},
		{"static is a link", "link /run/resolvconf/resolv.conf\nnameserver 192.0.2.53\n", "static", "", false, "a link to /run/resolvconf"},
		{"empty", "", "static", "", false, "without name servers"},
		{"resolvconf", "nameserver 10.118.111.1\nresolvconf 1\n", "resolvconf", "", true, ""},
		{"resolvconf knows none", "nameserver 10.118.111.1\nresolvconf 0\n", "resolvconf", "", false, "knows of no name server"},
		{"no resolvconf", "nameserver 10.118.111.1\n", "resolvconf", "", false, "no program resolvconf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			backend(t, machine.BackendProbe{Resolver: c.resolver, Asks: c.asks}, c.text, c.ok, c.seen)
		})
	}
}

func TestBackendClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, service string
		ok                  bool
		seen                string
	}{
		{"chrony", "running chrony.service\nprogram chronyd\n", "chrony", true, ""},
		{"openrc", "running openrc:chronyd\n", "chrony", true, ""},
		{"stopped", "program chronyd\n", "chrony", false, "chrony, which does not run"},
		{"another", "running chrony.service\nrunning systemd-timesyncd.service\n", "chrony", false, "timesyncd, which runs too"},
		{"container", "container\nprogram chronyd\n", "chrony", true, ""},
		{"container runs one", "container\nrunning chrony.service\nprogram chronyd\n", "chrony", false, "chrony.service, which runs"},
		{"container lacks it", "container\nprogram ntpd\n", "chrony", false, "no program of chrony"},
		{"none", "program chronyd\n", "none", true, ""},
		{"not none", "running openrc:ntpd\n", "none", false, "openrc:ntpd, which runs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			backend(t, machine.BackendProbe{Time: c.service}, c.text, c.ok, c.seen)
		})
	}
}

// backend runs one such probe against what a script would print.
func backend(t *testing.T, b machine.BackendProbe, text string, ok bool, seen string) {
	t.Helper()
	got := one(t, patient(machine.Probe{Backend: &b, Within: 200 * time.Millisecond}, ok), canned(text))
	if got.OK != ok || !strings.Contains(got.Reason, seen) {
		t.Errorf("got %+v, want OK %v and %q", got, ok, seen)
	}
}
