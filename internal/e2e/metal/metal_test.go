// Package metal proves that a machine written to a disk from a foreign rescue
// system starts from that disk, and that nothing else of the host changes.
package metal

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
	"slipway/internal/image/qcow2"
)

func TestMain(m *testing.M) { kit.Main(m) }

// The names of the machines; their run folders lie in the shared store.
const (
	rescueName    = "metal-rescue"
	installedName = "metal-installed"
)

const rescueText = `slipway: v1
name: ` + rescueName + `
system: debian/trixie
packages: [efibootmgr]
kernel: {package: linux-image-cloud-amd64}
boot: {firmware: [uefi]}
shares: [{host: ./share, path: /srv, read_only: true}]
vm:
  disks:
    - {file: ./target.raw, serial: INSTALLME}
    - {file: ./third.raw, serial: THIRD}
probes:
  - {name: firmware, command: "test -d /sys/firmware/efi"}
`

// installedText is gallery/hello.yaml on a small disk with a small kernel, and probes of the
// disk and of the way that the firmware took.
const installedText = `slipway: v1
name: ` + installedName + `
system: debian/trixie
packages: [nginx-light]
kernel: {package: linux-image-cloud-amd64}
slim: [docs, man, info, locales, apt_lists]
disk: {size: 450M}
files:
  - {path: /var/www/html/index.html, content: "afloat\n"}
services: {enable: [nginx]}
probes:
  - {name: page, http: {url: "http://machine:80/", status: 200, contains: afloat}}
  - {name: units, no_failed_units: true}
  - {name: loader, command: "ls /boot/efi/EFI", stdout: systemd}
  - {name: grown, command: "test $(df --output=size -B1M / | tail -1) -gt 2600"}
`

// target is the size of the disk that is written, in bytes.
const target = 3 << 30

// TestBootInstallFromRescue boots a rescue machine, writes an image from there to
// its second disk, removes the loader that firmware finds on any disk, and
// boots that disk alone with the same firmware variables: what starts it is
// the entry that write made.
func TestBootInstallFromRescue(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	r := &rescue{t: t, World: w}
	third := r.prepare()

	r.up(rescueText, rescueName)
	r.refusals()
	entry := r.install()
	r.inside("mount /dev/vdb1 /mnt && rm -r /mnt/EFI/BOOT && umount /mnt")
	w.Must("down", rescueName)
	if got := sum(t, filepath.Join(w.Dir, "third.raw")); got != third {
		t.Error("the bytes of a disk that nobody named have changed")
	}

	r.moveDisk()
	boots := 2
	if os.Getenv("SLIPWAY_TIER") == "long" {
		boots = 3
	}
	r.up(installedText+fmt.Sprintf(`  - {name: entry, command: "od -An -tx2 -j4 /sys/firmware/efi/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c", contains: "%s"}
  - {name: cold boots, reboot: %d, within: 300s}
`, strings.ToLower(entry), boots), installedName)
	w.Must("down", installedName)
}

// rescue is the machine that writes, and the folder with its disks.
type rescue struct {
	*kit.World
	t *testing.T
}

// prepare makes the image and the disks; it returns the third disk's checksum.
func (r *rescue) prepare() [sha256.Size]byte {
	r.t.Helper()
	for _, name := range []string{rescueName, installedName} {
		dir := r.run(name)
		os.RemoveAll(dir) // of a test that was killed
		r.t.Cleanup(func() {
			r.World.Run("down", name)
			if err := kit.RemoveAll(dir); err != nil {
				r.t.Errorf("removing what was kept of a machine: %v", err)
			}
		})
	}
	share := filepath.Join(r.Dir, "share")
	if err := os.Mkdir(share, 0o755); err != nil {
		r.t.Fatal(err)
	}
	binary, err := os.ReadFile(kit.Binary(r.t))
	if err == nil {
		err = os.WriteFile(filepath.Join(share, "slipway"), binary, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(r.Dir, "third.raw"), []byte(strings.Repeat("not to be touched\n", 1<<20)[:16<<20]), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(r.Dir, "target.raw"), nil, 0o600)
	}
	if err == nil {
		err = os.Truncate(filepath.Join(r.Dir, "target.raw"), target)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.Must("build", kit.Write(r.t, r.Dir, installedName+".yaml", installedText), "-o", filepath.Join(share, "hello.raw"))
	return sum(r.t, filepath.Join(r.Dir, "third.raw"))
}

// run is where the store keeps what a machine writes.
func (r *rescue) run(name string) string { return filepath.Join(r.Store, "run", name) }

// up starts a machine under UEFI and keeps its variables.
func (r *rescue) up(text, name string) {
	r.t.Helper()
	got := r.Run("up", kit.Write(r.t, r.Dir, name+".yaml", text), "--on", "uefi", "--keep")
	kit.SkipUnstarted(r.t, got)
	if got.Status != 0 {
		r.t.Fatalf("exit status %d\n%s\n%s", got.Status, got.Text(), r.Run("logs", name).Text())
	}
	r.t.Logf("%s took %s\n%s", name, got.Took, got.Stdout)
}

// inside runs a shell command in the rescue machine.
func (r *rescue) inside(command string) string {
	r.t.Helper()
	return r.Must("shell", rescueName, "sh", "-c", command).Stdout
}

// refusals tries what must not be written, and sees that nothing was.
func (r *rescue) refusals() {
	r.t.Helper()
	r.inside("cp /srv/slipway /usr/local/bin/ && head -c 4M /dev/vdb | cmp - /dev/zero 2>&1 | grep -q EOF")
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"/dev/vda --yes-erase " + rescueName, 1, "this system runs from it"},
		{"/dev/vda2 --yes-erase " + rescueName, 1, "is mounted on /"},
		{"serial:NOPE --yes-erase NOPE", 1, "/dev/vdb, 3 GiB, serial INSTALLME"},
		{"serial:INSTALLME", 2, "--yes-erase INSTALLME"},
		{"serial:INSTALLME --yes-erase THIRD", 1, "nothing was written"},
		{"serial:THIRD --yes-erase THIRD", 1, "16 MiB"},
	} {
		got := r.Run(append([]string{"shell", rescueName, "slipway", "write", "/srv/hello.raw"}, strings.Fields(c.args)...)...)
		if got.Status != c.status || !strings.Contains(got.Stderr, c.want) {
			r.t.Errorf("write %s: exit status %d, want %d and %q\n%s", c.args, got.Status, c.status, c.want, got.Text())
		}
	}
	r.inside("head -c 4M /dev/vdb | cmp - /dev/zero 2>&1 | grep -q EOF")
}

var bootEntry = regexp.MustCompile(`(?m)^Boot([0-9A-F]{4})\* hello\s.*HD\(1,GPT,[^)]*\)/\\?(File\()?\\EFI\\systemd\\systemd-bootx64.efi`)

// install writes the disk and returns the number of the firmware's new entry.
func (r *rescue) install() string {
	r.t.Helper()
	got := r.Must("shell", rescueName, "slipway", "write", "/srv/hello.raw", "serial:INSTALLME", "--yes-erase", "INSTALLME")
	r.t.Logf("writing took %s", got.Took)
	if !strings.Contains(got.Stdout, "/dev/vdb holds hello.raw, read back and compared") {
		r.t.Errorf("write says\n%s", got.Text())
	}
	menu := r.inside("efibootmgr -v")
	entry := bootEntry.FindStringSubmatch(menu)
	if entry == nil {
		r.t.Fatalf("the firmware has no entry for the disk:\n%s", menu)
	}
	if !strings.Contains(menu, "BootOrder: "+entry[1]) {
		r.t.Errorf("the entry is not the first:\n%s", menu)
	}
	return entry[1]
}

// moveDisk makes the written disk the only one of the second machine, with the
// firmware variables of the first.
func (r *rescue) moveDisk() {
	r.t.Helper()
	dir := r.run(installedName)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		r.t.Fatal(err)
	}
	vars, err := os.ReadFile(filepath.Join(r.run(rescueName), "efivars.fd"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "efivars.fd"), vars, 0o600)
	}
	if err == nil {
		err = qcow2.Overlay(filepath.Join(dir, "disk.qcow2"), filepath.Join(r.Dir, "target.raw"), "raw", 0)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}
