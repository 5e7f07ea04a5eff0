// Package netboot boots machines over the network, with real firmware.
package netboot

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// tiny is a machine of a kernel and one program: what it takes to boot it is
// the network's part.
const tiny = `slipway: v1
name: tiny
system: debian/trixie
arch: amd64
init: /server
files:
  - {path: /server, from: %SERVER%, mode: "0755"}
kernel: {package: linux-image-cloud-amd64}
boot: {ram: init, loader: none}
vm: {cpus: 1, memory: 256M}
netboot: %NETBOOT%
probes:
  - {name: page, http: {url: "http://machine:80/", contains: "afloat, process 1"}, within: 2m}
`

// stages are what a proof over the network shows, in this order.
var stages = []string{"firmware", "dhcp", "loader", "script", "kernel", "initrd"}

type result struct {
	Name, Reason string
	OK           bool
	Seconds      float64
}

type proof struct {
	Targets []struct {
		Name, Reason   string
		OK             bool
		Stages, Probes []result
	}
}

// server builds the gallery's program.
func server(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "server")
	cmd := exec.Command("go", "build", "-o", out, filepath.Join(kit.Root(), "gallery/unikernel/server.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// rehearse tests the tiny machine on the target netboot, with some of its text
// replaced: pairs of old and new.
func rehearse(t *testing.T, netboot string, replace ...string) proof {
	t.Helper()
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	file := filepath.Join(t.TempDir(), "tiny.yaml")
	text := strings.NewReplacer("%SERVER%", server(t), "%NETBOOT%", netboot).Replace(strings.NewReplacer(replace...).Replace(tiny))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	before := w.Host(t)
	report := filepath.Join(t.TempDir(), "proof.json")
	r := w.Run("test", file, "--on", "netboot", "--report", report)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Logf("took %s\n%s", r.Took, r.Stdout)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var p proof
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	if left := w.Settled(t, before); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	if len(p.Targets) != 1 || !p.Targets[0].OK {
		t.Fatalf("it is not proved: %+v", p)
	}
	return p
}

// TestBootNetboot starts from each firmware the way a real machine does.
func TestBootNetboot(t *testing.T) {
	for name, netboot := range map[string]string{
		"bios-pxe":  `{firmware: bios, match: {mac: "52:54:00:04:04:03"}}`,
		"uefi-pxe":  `{firmware: uefi, match: {mac: "52:54:00:04:04:04"}}`,
		"uefi-http": `{firmware: uefi, protocol: http, match: {mac: "52:54:00:04:04:05"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			kit.Tier(t, "boot")
			p := rehearse(t, netboot)
			p.shows(t, stages...)
		})
	}
}

// shows wants these stages, in this order; others may stand between.
func (p proof) shows(t *testing.T, want ...string) {
	t.Helper()
	var names []string
	for _, s := range p.Targets[0].Stages {
		if slices.Contains(want, s.Name) {
			names = append(names, s.Name)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("the stages are %v, want %v", names, want)
	}
}

// TestBootNetbootFetched rehearses the machines that fetch more than a kernel and
// an initrd: one is installed and starts from its disk, one gets its root.
func TestBootNetbootFetched(t *testing.T) {
	// TestBootNetbootInstall installs a machine with a BIOS.
	t.Run("install", func(t *testing.T) {
		kit.Tier(t, "boot")
		p := rehearse(t, `{mode: install, firmware: uefi, disk: "serial:TARGET", match: {mac: "52:54:00:04:04:06"}}`,
			"boot: {ram: init, loader: none}", "boot: {firmware: [uefi]}\ndisk: {size: 600M}",
			"memory: 256M}", "memory: 768M, serial: TARGET}")
		p.shows(t, slices.Concat(stages, []string{"install", "root", "agent"})...)
	})
	t.Run("small", func(t *testing.T) {
		kit.Tier(t, "boot")
		p := rehearse(t, `{firmware: bios, initrd: small, disk: "serial:TARGET", match: {mac: "52:54:00:04:04:07"}}`,
			"ram: init, ", "", "memory: 256M}", "memory: 768M, serial: TARGET}\nstate: [/srv/data]")
		p.shows(t, slices.Concat(stages, []string{"root", "agent"})...)
	})
}
