package cloud

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// exported has no EFI system partition: hosts without vfat cannot mount one.
const exported = `slipway: v1
name: exported
system: debian/trixie
hostname: harbour
boot: {firmware: [bios]}
files:
  - {path: /etc/motd, content: "afloat\n"}
  - path: /etc/systemd/system/end.service
    content: |
      [Unit]
      Description=Say that the machine is up, and end it
      [Service]
      Type=idle
      ExecStart=/bin/sh -c 'echo "up as $(hostname), $(cat /srv/shared/note)" >/srv/shared/said; systemctl poweroff'
      [Install]
      WantedBy=multi-user.target
  - {path: /etc/systemd/system/multi-user.target.wants/end.service, link: ../end.service}
shares: [{host: ./shared, path: /srv/shared}]
`

// TestBootNspawn: the disk that boots on a computer opens a shell and starts
// as a container of systemd-nspawn, with the settings that were exported.
func TestBootNspawn(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	if os.Geteuid() != 0 {
		t.Skip("systemd-nspawn needs root")
	}
	if _, err := exec.LookPath("systemd-nspawn"); err != nil {
		t.Skip("there is no systemd-nspawn here (package systemd-container)")
	}
	w := kit.SharedWorld(t)
	shared := filepath.Join(w.Dir, "shared")
	if err := os.Mkdir(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	kit.Write(t, shared, "note", "afloat\n")
	out := filepath.Join(w.Dir, "out")
	r := w.Must("export", kit.Write(t, w.Dir, "exported.yaml", exported), "--nspawn", "-o", out)
	if !strings.Contains(r.Stdout, "machinectl start exported") {
		t.Errorf("the commands are\n%s", r.Stdout)
	}
	udev(t, w.Dir)
	text := nspawn(t, w.Dir, "--pipe", "/bin/sh", "-c", "cat /etc/motd; hostname; id -u")
	if text != "afloat\nharbour\n0\n" {
		t.Errorf("a shell in the image says %q", text)
	}
	begin := time.Now()
	nspawn(t, w.Dir)
	t.Logf("as a container, from the start to its end: %s", time.Since(begin).Round(time.Millisecond))
	if said, err := os.ReadFile(filepath.Join(shared, "said")); string(said) != "up as harbour, afloat\n" {
		t.Errorf("the container said %q (%v)", said, err)
	}
}

// nspawn runs systemd-nspawn with the exported settings where it trusts them,
// in a /run of its own. Without a command the image's init is started. The host
// need not be run by systemd; its control groups may then be of a kind with
// which the guest's init runs only as the host's root.
func nspawn(t *testing.T, dir string, command ...string) string {
	t.Helper()
	const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/udev /run/systemd/nspawn
mount --bind "$1/udev" /run/udev
sed -e 's/^PrivateUsers=.*/PrivateUsers=no/' -e 's/:rootidmap$//' "$1/out/exported.nspawn" >/run/systemd/nspawn/exported.nspawn
image=$1/out/exported.raw
shift
exec systemd-nspawn -i "$image" --register=no --keep-unit "$@"`
	args := []string{"-m", "sh", "-c", script, "sh", dir}
	if len(command) > 0 {
		args = append(args, append([]string{"--as-pid2"}, command...)...)
	}
	cmd := exec.Command("timeout", append([]string{"-k", "5", "120", "unshare"}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("systemd-nspawn: %v\n%s%s", err, out, errs.String())
	}
	return string(out)
}

// udev stands for the host's: systemd-nspawn opens images only where somebody
// listens at its socket, and then makes the partitions by itself.
func udev(t *testing.T, dir string) {
	t.Helper()
	socket := filepath.Join(dir, "udev", "control")
	if err := os.Mkdir(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unixpacket", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// TestBootLibvirt: what is exported for libvirt is complete and described
// truly, and a kernel of the host stays a link.
func TestBootLibvirt(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	w := kit.SharedWorld(t)
	if err := os.Mkdir(filepath.Join(w.Dir, "shared"), 0o777); err != nil {
		t.Fatal(err)
	}
	file := kit.Write(t, w.Dir, "exported.yaml", exported+"vm: {memory: 512M, autostart: true, disks: [{size: 64M}]}\n")
	out := filepath.Join(w.Dir, "out")
	r := w.Must("export", file, "--libvirt", "-o", out)
	for _, want := range []string{"virsh define " + filepath.Join(out, "exported.xml"), "virsh autostart exported", "virsh start exported"} {
		if !strings.Contains(r.Stdout, want+"\n") {
			t.Errorf("the commands lack %s:\n%s", want, r.Stdout)
		}
	}
	domain, err := os.ReadFile(filepath.Join(out, "exported.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exported.qcow2", "exported-disk2.qcow2", "exported.vmlinuz", "exported.initrd"} {
		path := filepath.Join(out, name)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(domain), path+"<") && !strings.Contains(string(domain), path+`"`) {
			t.Errorf("the domain does not name %s", path)
		}
	}
	if program, err := exec.LookPath("qemu-img"); err == nil {
		if text, err := exec.Command(program, "check", filepath.Join(out, "exported.qcow2")).CombinedOutput(); err != nil {
			t.Errorf("qemu-img check: %v\n%s", err, text)
		}
	}

	link := filepath.Join(w.Dir, "current")
	if err := os.Symlink(filepath.Join(out, "exported.vmlinuz"), link); err != nil {
		t.Fatal(err)
	}
	w.Must("export", file, "--libvirt", "-o", filepath.Join(w.Dir, "out2"), "--format", "raw", "--set", "kernel={file: "+link+"}")
	domain, err = os.ReadFile(filepath.Join(w.Dir, "out2", "exported.xml"))
	if err != nil || !strings.Contains(string(domain), "<kernel>"+link+"</kernel>") {
		t.Errorf("the domain does not name the link %s (%v):\n%s", link, err, domain)
	}
	if r := w.Run("export", file, "--libvirt", "--nspawn"); r.Status != 2 {
		t.Errorf("both at once: exit status %d", r.Status)
	}
}
