package machine

import (
	"os"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const fleetBase = `slipway: v1
name: node
system: debian/trixie
arch: amd64
vm: {memory: 1G}
netboot: {mode: ram, match: {mac: "52:54:00:00:00:01"}}
`

func TestFleet(t *testing.T) {
	writeFiles(t, map[string]string{"node.yaml": fleetBase, "fleet.yaml": `slipway: v1
base: node.yaml
machines:
  - {name: node1, match: {mac: "52:54:00:04:04:03"}, address: 192.0.2.7}
  - name: node2
    match: {serial: 5B5TNM2}
    set: {vm.memory: 2G, hostname: n2, files: [{path: /etc/motd, from: ./motd}]}
`, "motd": "x"})
	f, ok, err := LoadFleet("fleet.yaml")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	one, err := f.Load(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Name != "node1" || one.Netboot.Match.MAC[0] != "52:54:00:04:04:03" || one.Netboot.Address != "192.0.2.7" || !one.Netboot.RAM() {
		t.Errorf("node1 is %+v of %+v", one.Netboot, one)
	}
	two, err := f.Load(1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if two.Hostname != "n2" || two.VM.Memory != 2<<30 || len(two.Netboot.Match.MAC) != 0 || two.Netboot.Match.Serial != "5B5TNM2" {
		t.Errorf("node2 is %+v of %+v", two.Netboot, two)
	}
	if len(two.Network) != 1 || !two.Network[0].DHCP {
		t.Errorf("its network is %+v, want DHCP", two.Network)
	}
	if _, ok, err := LoadFleet("node.yaml"); ok || err != nil {
		t.Errorf("a definition was taken for a list (%v)", err)
	}
}

func TestFleetProblems(t *testing.T) {
	writeFiles(t, map[string]string{"node.yaml": fleetBase, "fleet.yaml": `slipway: v1
base: node.yaml
machines:
  - {name: node1, match: {mac: 17}}
  - {name: node1, mach: {any: true}}
  - {match: {any: true}}
`, "set.yaml": `slipway: v1
base: node.yaml
machines:
  - {name: node1, set: {vm.memori: 2G}}
  - {name: node2, set: {vm.memory: 2}}
`})
	_, ok, err := LoadFleet("fleet.yaml")
	if !ok || err == nil {
		t.Fatal("a broken list was read")
	}
	for _, want := range []string{"fleet.yaml:4:32: machines.0.match.mac is a number", `fleet.yaml:5:6: machine "node1" stands in the list twice; the first is in line 4`,
		`fleet.yaml:5:19: unknown key "mach"`, `fleet.yaml:6:6: machines.2 lacks the key "name"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	f, _, err := LoadFleet("set.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`set.yaml:4:36: vm.memori has the unknown key "memori"`, "set.yaml:5:36: vm.memory is a number"} {
		if _, err := f.Load(i, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("machine %d: got %v, want %q", i, err, want)
		}
	}
}
