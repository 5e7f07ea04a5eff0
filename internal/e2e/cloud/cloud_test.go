// Package cloud proves what slipway hands over to others, and what it takes
// from them: exported machines, and stock cloud images.
package cloud

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// stockImage is built here because no image from elsewhere can be counted on;
// its cloud-init is the distribution's own.
const stockImage = `slipway: v1
name: stock-image
system: debian/trixie
packages: [cloud-init, cloud-guest-utils, e2fsprogs, fdisk, iproute2, openssh-server, sudo]
services: {enable: [systemd-networkd]}
boot: {firmware: [bios]}
disk: {size: 2G}
`

const stock = `slipway: v1
name: stock
system: debian/trixie
from: ./stock.qcow2
hostname: harbour
users: [{name: ops, ssh_keys: ["PUBLIC"], sudo: nopasswd}]
files: [{path: /etc/motd, content: "afloat\n", mode: "0600"}]
run: ["hostname > /root/made"]
boot: {firmware: [bios]}
probes:
  - {ssh: {user: ops, key: ./key, command: "sudo -n id -u", expect: "0"}}
  - {ssh: {command: "id -un", expect: root}}
  - {command: hostname, stdout: harbour}
  - {command: "cat /etc/motd", contains: afloat}
  - {command: "cat /root/made", stdout: harbour}
  - {file: {path: /etc/motd, mode: "0600", owner: "root:root"}}
  - {unit: ssh.service}
  - {command: "test $(df --output=size / | tail -1) -gt 6000000"}
`

func TestBootStockImage(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here to make a user's key")
	}
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	key := filepath.Join(w.Dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	w.Must("build", kit.Write(t, w.Dir, "image.yaml", stockImage), "-o", filepath.Join(w.Dir, "stock.qcow2"))
	file := kit.Write(t, w.Dir, "stock.yaml", strings.ReplaceAll(stock, "PUBLIC", strings.TrimSpace(string(public))))
	w.Must("check", file)
	r := w.Must("test", file, "--on", "bios")
	t.Logf("took %s\n%s", r.Took, r.Stdout)
	if r := w.Run("test", file); r.Status == 0 || !strings.Contains(r.Stderr, "start it on vm, uefi, bios") {
		t.Errorf("as a container: exit status %d\n%s", r.Status, r.Text())
	}
}
