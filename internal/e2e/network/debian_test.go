package network

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

// debian is one machine with a choice of all three.
type debian struct {
	backend, resolver, clock string
	other                    string // a backend that must not be found
	judge                    func(t *testing.T, w *kit.World, name string)
}

var debians = []debian{
	{"networkd", "resolved", "timesyncd", "ifupdown", judgeNetworkd},
	{"ifupdown", "resolvconf", "openntpd", "networkmanager", judgeIfupdown},
	{"networkmanager", "resolved", "chrony", "networkd", judgeNetworkManager},
}

func (d debian) definition(name string) string {
	return fmt.Sprintf(`slipway: v1
name: %s
system: debian/trixie
network_backend: %s
resolver: %s
network: [{match: "en* eth* host0", dhcp: true}]
time: {service: %s, servers: [ntp.example.org]}
probes:
  - {name: units, no_failed_units: true, within: 60s}
  - {name: other, fails: true, backend: {network: %s}}
`, name, d.backend, d.resolver, d.clock, d.other)
}

// TestBootNetworkBackends: by each backend the machine gets the address that
// the lab has for it, resolves the lab's names, and has its time service,
// which a container does not start. The backend's own program understands what
// is written for every statement.
func TestBootNetworkBackends(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	for _, d := range debians {
		t.Run(d.backend, func(t *testing.T) {
			w := kit.SharedWorld(t)
			name := "by-" + d.backend
			file := kit.Write(t, w.Dir, "m.yaml", d.definition(name))
			prove(t, w, file, nil, "network", "resolver", "clock", "units", "other")
			prove(t, w, file, []string{
				"--set", `network=[{match: host0, address: [192.0.2.7/24, "2001:db8::7/64"], gateway: 192.0.2.1, gateway6: "2001:db8::1", dns: [192.0.2.53]}]`,
				"--set", "resolver=static", "--set", `probes=[
					{name: routes, command: "cat /proc/net/route | tr -s '\t' ' ' | grep -c 'host0 00000000 010200C0'", stdout: "1"},
					{name: ipv6, command: "grep -c '^20010db8000000000000000000000007 .* host0' /proc/net/if_inet6", stdout: "1"},
					{name: servers, file: {path: /etc/resolv.conf, content: "nameserver 192.0.2.53\n"}}]`,
			}, "network", "resolver", "routes", "ipv6", "servers")
			up(t, w, file, name)
			address := addressOf(t, w, name)
			if out := inside(t, w, name, "grep -h . /proc/net/fib_trie"); !strings.Contains(out, "|-- "+address+"\n") {
				t.Errorf("the machine does not have the lab's address %s:\n%s", address, out)
			}
			d.judge(t, w, name)
		})
	}
}

// addressOf is the address that the lab has given.
func addressOf(t *testing.T, w *kit.World, name string) string {
	t.Helper()
	var machines []struct {
		Name      string
		Addresses []string
	}
	decode(t, w.Must("ls", "--json").Stdout, &machines)
	for _, m := range machines {
		if m.Name == name && len(m.Addresses) == 1 {
			return m.Addresses[0]
		}
	}
	t.Fatalf("%s has not one address: %+v", name, machines)
	return ""
}

// judgeNetworkd: systemd-networkd complains in its log of what it does not know.
func judgeNetworkd(t *testing.T, w *kit.World, name string) {
	if out := inside(t, w, name, "systemd-analyze cat-config systemd/timesyncd.conf"); !strings.Contains(out, "\nNTP=ntp.example.org\n") {
		t.Errorf("timesyncd reads\n%s", out)
	}
	read := func(files map[string]string) string {
		return inside(t, w, name, "rm -f /etc/systemd/network/*\n"+putting(files, "/etc/systemd/network/", "644")+`
			networkctl reload && journalctl --sync
			journalctl -o cat --no-pager | grep -E '/etc/systemd/network/[^ :]+:[0-9]+:' || true`)
	}
	for statement, files := range goldens(t, "debian/trixie systemd network_backend=networkd") {
		if out := read(files); out != "" {
			t.Errorf("%s: %s", statement, out)
		}
	}
	wrong := map[string]string{"/etc/systemd/network/50-wrong.network": "[Match]\nName=eth0\n[Network]\nGatewax=192.0.2.1\n"}
	if out := read(wrong); !strings.Contains(out, "Gatewax") {
		t.Errorf("networkd does not complain of what it does not know: %s", out)
	}
}

// byPattern is a line of ifupdown that gives what is there a logical name.
var byPattern = regexp.MustCompile(`(?m)^auto /\S+=(\S+).*$`)

// judgeIfupdown: ifup says what it would do.
func judgeIfupdown(t *testing.T, w *kit.World, name string) {
	inside(t, w, name, "ntpd -n")
	if out := inside(t, w, name, "cat /etc/openntpd/ntpd.conf"); !strings.Contains(out, "\nserver ntp.example.org\n") || strings.Contains(out, "\nservers ") {
		t.Errorf("openntpd has\n%s", out)
	}
	for statement, files := range goldens(t, "debian/trixie systemd network_backend=ifupdown") {
		// The container has none of the cards: their logical name stands for them.
		text := byPattern.ReplaceAllString(files["/etc/network/interfaces.d/slipway"], "auto $1")
		out := inside(t, w, name, "cat > /root/interfaces <<'END'\n"+text+"END\nifup --no-act --force --verbose --all --interfaces /root/interfaces")
		for _, line := range strings.Split(text, "\n") {
			word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if (word == "address" || word == "gateway") && !strings.Contains(out, value) && !strings.Contains(out, dotted(value)) {
				t.Errorf("%s: ifup does nothing with %s %s:\n%s", statement, word, value, out)
			}
		}
		if strings.Contains(text, "dhcp") && !strings.Contains(out, "dhcpcd") {
			t.Errorf("%s: ifup asks nobody:\n%s", statement, out)
		}
	}
}

// dotted is an address of IPv4 with its mask, as Debian's ifup gives it to ip.
func dotted(address string) string {
	ip, network, err := net.ParseCIDR(address)
	if err != nil {
		return address
	}
	return ip.String() + "/" + net.IP(network.Mask).String()
}

// judgeNetworkManager: it lists the profiles that it could read, with what it
// has understood.
func judgeNetworkManager(t *testing.T, w *kit.World, name string) {
	if out := inside(t, w, name, "chronyd -p"); !strings.Contains(out, "server ntp.example.org iburst") || strings.Contains(out, "\npool ") {
		t.Errorf("chrony reads\n%s", out)
	}
	const under = "/etc/NetworkManager/system-connections/"
	for statement, files := range goldens(t, "debian/trixie systemd network_backend=networkmanager") {
		out := inside(t, w, name, "rm -f "+under+"*\n"+putting(files, under, "600")+`
			nmcli connection reload
			for file in `+under+`*; do
				id=$(basename "$file" .nmconnection)
				echo "$id" && nmcli --terse connection show "$id" | sed "s/^/$id /"
			done`)
		for path, text := range files {
			if strings.HasPrefix(path, under) {
				understood(t, statement, strings.TrimSuffix(strings.TrimPrefix(path, under), ".nmconnection"), text, out)
			}
		}
	}
}

// understood compares a profile with what nmcli shows of it.
func understood(t *testing.T, statement, id, text, shown string) {
	t.Helper()
	section := ""
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "bond" {
			if ok && !strings.Contains(shown, value) {
				t.Errorf("%s: %s: bond option %s is not in\n%s", statement, id, line, shown)
			}
			continue
		}
		value = strings.TrimSuffix(value, ";")
		switch key {
		case "id", "uuid", "type":
			continue
		case "slave-type":
			key = "port-type"
		case "master":
			key = "controller"
		case "address1", "address2":
			key = "addresses"
		}
		found := false
		for _, l := range strings.Split(shown, "\n") {
			rest, mine := strings.CutPrefix(l, id+" "+section+"."+key+":")
			plain := strings.ReplaceAll(rest, `\:`, ":")
			found = found || mine && strings.Contains(strings.ReplaceAll(plain, ",", ";"), value)
		}
		if !found {
			t.Errorf("%s: %s: %s.%s=%s is not in\n%s", statement, id, section, key, value, shown)
		}
	}
}

// TestBootClock: in a virtual machine the chosen time service runs, alone, and
// NetworkManager has a card that udev knows.
func TestBootClock(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	file := kit.Write(t, w.Dir, "m.yaml", debians[2].definition("clock"))
	prove(t, w, file, []string{"--on", "vm"}, "network", "resolver", "clock", "units", "other")
}
