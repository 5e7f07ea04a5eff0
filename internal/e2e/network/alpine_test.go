package network

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apktest"
	"slipway/internal/e2e/kit"
)

// TestAlpineNetwork: both of Alpine's ifups get the machine the lab's address
// and name server, from packages that Alpine signed; the time services of
// Alpine are set up, and a container does not start them.
func TestAlpineNetwork(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedMachines(t)
	repository := apktest.Packages(t)
	for _, c := range []struct{ backend, other, clock, file, server string }{
		{"ifupdown", "busybox", "ntpd", "/etc/conf.d/ntpd", "-p ntp.example.org"},
		{"busybox", "ifupdown", "chrony", "/etc/chrony/chrony.conf", "\nserver ntp.example.org iburst\n"},
		{"ifupdown", "busybox", "openntpd", "/etc/ntpd.conf", "server ntp.example.org\n"},
	} {
		t.Run(c.backend+"-"+c.clock, func(t *testing.T) {
			w := kit.SharedWorld(t)
			more := ""
			if c.backend == "busybox" {
				// The empty package of this name is not among the hundred.
				empty := apktest.Apk{Name: "busybox-ifupdown", Version: "1.36.1-r15", Info: []string{"provides = ifupdown-any"}}
				if err := os.WriteFile(filepath.Join(w.Dir, "empty.apk"), empty.Bytes(t), 0o644); err != nil {
					t.Fatal(err)
				}
				more = "packages: [./empty.apk]\n"
			}
			name := "by-" + c.clock
			file := kit.Write(t, w.Dir, "m.yaml", fmt.Sprintf(`slipway: v1
name: %s
system: alpine/3.19
arch: amd64
mirror: none
repositories: [{url: "file://%s"}]
network_backend: %s
network: [{match: "eth0 host0", dhcp: true}]
timezone: Europe/Zurich
time: {service: %s, servers: [ntp.example.org]}
%sprobes:
  - {name: other, fails: true, backend: {network: %s}}
  - {name: zone, command: "date -d 2024-01-01 +%%Z", stdout: CET}
  - {name: units, no_failed_units: true}
  - {name: names, backend: {resolver: static}}
`, name, repository, c.backend, c.clock, more, c.other))
			prove(t, w, file, nil, "network", "clock", "other", "zone", "units")
			up(t, w, file, name)
			if out := inside(t, w, name, "cat "+c.file); !strings.Contains(out, c.server) {
				t.Errorf("%s has\n%s", c.file, out)
			}
			if c.clock == "chrony" {
				inside(t, w, name, "chronyd -p")
			}
			judgeAlpine(t, w, name, "alpine/3.19 openrc network_backend="+c.backend)
		})
	}
}

// judgeAlpine has the ifup that is there say what it has read: ifquery of
// ifupdown-ng, and of busybox what it would do.
func judgeAlpine(t *testing.T, w *kit.World, name, title string) {
	script := "ifup -n -f -a -i /root/interfaces"
	if strings.HasSuffix(title, "ifupdown") {
		script = "ifquery -i /root/interfaces --list -a | while read -r name; do ifquery -i /root/interfaces $name; done"
	}
	written := goldens(t, title)
	// busybox has the mask apart: what is wanted are the addresses of the other.
	wanted := goldens(t, "alpine/3.19 openrc network_backend=ifupdown")
	for statement, files := range written {
		text := files["/etc/network/interfaces"]
		out := inside(t, w, name, "cat > /root/interfaces <<'END'\n"+text+"END\n"+script)
		for _, line := range strings.Split(wanted[statement]["/etc/network/interfaces"], "\n") {
			word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if (word == "address" || word == "gateway") && !strings.Contains(out, value) {
				t.Errorf("%s: ifup does nothing with %s %s:\n%s", statement, word, value, out)
			}
		}
		if strings.Contains(text, "dhcp") && !strings.Contains(out, "dhcp") {
			t.Errorf("%s: ifup asks nobody:\n%s", statement, out)
		}
	}
}
