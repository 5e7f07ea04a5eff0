package boot

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// upgraded is a machine that its package manager changes.
const upgraded = `slipway: v1
name: upgraded
system: debian/trixie
packages: [nginx-light, systemd-boot-efi]
boot: {firmware: [uefi]}
disk: {size: 2G}
files: [{path: /var/www/html/index.html, content: "afloat\n"}]
probes: [{tcp: 80}]
`

// TestBootUpgradedKernel lets apt in a running machine install another kernel
// and a newer boot loader from a local archive, and starts the machine again.
func TestBootUpgradedKernel(t *testing.T) {
	w := need(t)
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb to make a local archive with")
	}
	file := kit.Write(t, w.Dir, "upgraded.yaml", upgraded)
	archive, kernel := localArchive(t, w)
	if r := w.Run("up", file, "--on", "uefi"); r.Status != 0 {
		if os.Geteuid() != 0 && strings.Contains(r.Stderr, "cgroup") {
			t.Skipf("this user cannot start machines here: %s", strings.TrimSpace(r.Stderr))
		}
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	shell := func(script string) string {
		return w.Must("shell", "upgraded", "sh", "-c", script).Stdout
	}
	old := strings.TrimSpace(shell("uname -r"))
	w.Must("cp", archive, "upgraded:/srv/archive")
	out := shell("cd /srv/archive && echo 'deb [trusted=yes] file:/srv/archive ./' >list && export DEBIAN_FRONTEND=noninteractive && " +
		"apt='apt-get -q -y -o Dir::Etc::sourcelist=/srv/archive/list -o Dir::Etc::sourceparts=-' && " +
		"$apt update && $apt install linux-image-" + kernel + " systemd-boot-efi </dev/null 2>&1")
	t.Logf("apt says\n%s", out)
	if same := shell("cmp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /boot/efi/EFI/BOOT/BOOTX64.EFI && tail -c 7 /boot/efi/EFI/BOOT/BOOTX64.EFI"); same != "upgrade" {
		t.Errorf("the ESP has another loader than the package: %q", same)
	}
	if left := shell("find / -xdev -name '*.slipway-new'; find /boot/efi -name '*.slipway-new'"); left != "" {
		t.Errorf("left behind: %s", left)
	}
	w.Run("shell", "upgraded", "systemctl", "reboot") // it may end before its answer
	if now := awaitKernel(t, w, old); now != kernel {
		t.Fatalf("after the restart the kernel is %s, want %s (before: %s)", now, kernel, old)
	}
	shell("for i in $(seq 60); do systemctl is-active nginx && exit 0; sleep 1; done; exit 1")

	shell("export DEBIAN_FRONTEND=noninteractive; uname -r; apt-get -q -y purge linux-image-amd64 linux-image-" + old + " </dev/null 2>&1")
	left := shell("ls /boot /boot/efi/upgraded /boot/efi/loader/entries")
	if strings.Contains(left, old) || !strings.Contains(left, "upgraded-"+kernel+".conf") {
		t.Errorf("after the removal of %s there are:\n%s", old, left)
	}
}

// awaitKernel waits until the machine answers with another kernel.
func awaitKernel(t *testing.T, w *kit.World, old string) string {
	t.Helper()
	now := ""
	for until := time.Now().Add(3 * time.Minute); time.Now().Before(until); time.Sleep(2 * time.Second) {
		r := w.Run("shell", "upgraded", "uname", "-r")
		if now = strings.TrimSpace(r.Stdout); r.Status == 0 && now != old {
			return now
		}
	}
	return now
}

// localArchive makes an archive with the kernel for clouds and with a boot
// loader of a higher version, and gives that kernel's version.
func localArchive(t *testing.T, w *kit.World) (dir, kernel string) {
	t.Helper()
	source := kit.Write(t, w.Dir, "source.yaml", "slipway: v1\nname: source\nsystem: debian/trixie\npackages: [linux-image-cloud-amd64, systemd-boot-efi]\n")
	w.Must("build", source)
	dir = filepath.Join(w.Dir, "archive")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	debs, _ := filepath.Glob(filepath.Join(w.Store, "debs", "*.deb"))
	for _, deb := range debs {
		name := field(deb, "Package")
		switch {
		case strings.HasPrefix(name, "linux-image-6") && strings.HasSuffix(name, "-cloud-amd64"):
			run(t, "cp", deb, filepath.Join(dir, "kernel.deb"))
			kernel = strings.TrimPrefix(name, "linux-image-")
		case name == "systemd-boot-efi":
			repack(t, deb, filepath.Join(dir, "loader.deb"))
		}
	}
	if kernel == "" {
		t.Fatal("the store has no kernel for clouds")
	}
	var index bytes.Buffer
	for _, name := range []string{"kernel.deb", "loader.deb"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %x\n\n", field(filepath.Join(dir, name)), name, len(data), sha256.Sum256(data))
	}
	kit.Write(t, dir, "Packages", index.String())
	return dir, kernel
}

// repack makes a package of a higher version, whose loader has other bytes.
func repack(t *testing.T, from, to string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "package")
	run(t, "dpkg-deb", "-R", from, dir)
	control := filepath.Join(dir, "DEBIAN/control")
	data, err := os.ReadFile(control)
	if err == nil {
		err = os.WriteFile(control, bytes.Replace(data, []byte("\nVersion: "), []byte("\nVersion: 999:"), 1), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "sh", "-c", "printf upgrade >>"+filepath.Join(dir, "usr/lib/systemd/boot/efi/systemd-bootx64.efi"))
	run(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-b", dir, to)
}

// field reads fields of a package, or all of them.
func field(deb string, names ...string) string {
	out, _ := exec.Command("dpkg-deb", append([]string{"-f", deb}, names...)...).Output()
	return strings.TrimSpace(string(out))
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}
