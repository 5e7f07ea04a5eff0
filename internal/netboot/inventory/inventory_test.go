package inventory

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/machine"
)

// fleet writes files into a folder.
func fleet(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("slipway: v1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const key = `"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq3vy5kXjKkAABJ8Pd0cUq8WQXtNwBAFm8W6cU1G5mT x"`

func sample(t *testing.T) string {
	return fleet(t, map[string]string{
		"base.yaml":  "name: base\nsystem: debian/trixie\nusers: [{name: ops, sudo: nopasswd, ssh_keys: [" + key + "]}, {name: guest, ssh_keys: [" + key + "]}]\n",
		"web.yaml":   "include: [base.yaml]\nname: web\nnetwork: [{match: eth0, address: [192.0.2.7/24]}]\n",
		"node.yaml":  "name: node\nsystem: debian/bookworm\nusers: [{name: root, ssh_keys: [" + key + "]}]\nnetboot: {mode: ram}\n",
		"nodes.yaml": "base: node.yaml\nmachines:\n  - {name: node1, match: {mac: \"52:54:00:04:04:03\"}, address: 192.0.2.11}\n  - {name: node2, match: {serial: X}, set: {hostname: n2.example.net}}\n",
		"mm1.yaml":   "name: mm1\nsystem: alma/9\nnetboot: {mode: install, match: {any: true}}\n",
	})
}

const want = `# Written by slipway; changes belong into the definitions.
all:
  hosts:
    "mm1":
      ansible_host: "mm1"
      slipway_system: "alma/9"
      slipway_definition: "DIR/mm1.yaml"
    "node1":
      ansible_host: "192.0.2.11"
      ansible_user: "root"
      slipway_system: "debian/bookworm"
      slipway_definition: "DIR/nodes.yaml"
      slipway_macs: ["52:54:00:04:04:03"]
    "node2":
      ansible_host: "n2.example.net"
      ansible_user: "root"
      slipway_system: "debian/bookworm"
      slipway_definition: "DIR/nodes.yaml"
    "web":
      ansible_host: "192.0.2.7"
      ansible_user: "ops"
      ansible_become: true
      slipway_system: "debian/trixie"
      slipway_definition: "DIR/web.yaml"
  children:
    alma:
      hosts:
        "mm1": {}
    alma_9:
      hosts:
        "mm1": {}
    debian:
      hosts:
        "node1": {}
        "node2": {}
        "web": {}
    debian_bookworm:
      hosts:
        "node1": {}
        "node2": {}
    debian_trixie:
      hosts:
        "web": {}
    slipway_install:
      hosts:
        "mm1": {}
    slipway_ram:
      hosts:
        "node1": {}
        "node2": {}
`

func TestInventory(t *testing.T) {
	dir := sample(t)
	machines, err := Read(dir, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Write(machines)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.ReplaceAll(string(got), dir, "DIR")); diff != "" {
		t.Errorf("another inventory (-want +got):\n%s", diff)
	}
}

// Ansible itself reads the inventory, and reaches each machine as it says.
func TestByAnsible(t *testing.T) {
	if _, err := exec.LookPath("ansible-inventory"); err != nil {
		t.Skip("there is no ansible-inventory here (ansible-core)")
	}
	machines, err := Read(sample(t), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := Write(machines)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ansible-inventory", "-i", file, "--list")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "ANSIBLE_INVENTORY_UNPARSED_FAILED=true", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ansible-inventory: %v", err)
	}
	var got struct {
		Meta struct {
			Hosts map[string]map[string]any `json:"hostvars"`
		} `json:"_meta"`
		RAM struct{ Hosts []string } `json:"slipway_ram"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if h := got.Meta.Hosts; len(h) != 4 || h["web"]["ansible_host"] != "192.0.2.7" || h["web"]["ansible_become"] != true || h["node1"]["ansible_user"] != "root" {
		t.Errorf("hosts: %v", h)
	}
	if diff := cmp.Diff([]string{"node1", "node2"}, got.RAM.Hosts); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenFleet(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"2:9: system":      {"a.yaml": "system: debian/none/x\nname: a\n"},
		"is also in":       {"a.yaml": "name: a\nsystem: debian/trixie\n", "b.yaml": "name: a\nsystem: debian/trixie\n"},
		"no file *.yaml":   {},
		"machines.1.name ": {"n.yaml": "name: n\nsystem: debian/trixie\n", "l.yaml": "base: n.yaml\nmachines: [{name: a}, {name: \"A B\"}]\n"},
	} {
		if _, err := Read(fleet(t, files), machine.Options{}); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
	if _, err := Read("/does/not/exist", machine.Options{}); err == nil {
		t.Error("a folder that is not there has no machines")
	}
}
