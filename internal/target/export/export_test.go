package export

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway/internal/image"
	"slipway/internal/machine"
)

var update = flag.Bool("update", false, "write the expected domains anew")

// load reads a definition.
func load(t *testing.T, more string) *machine.Definition {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.yaml")
	text := "slipway: v1\nname: auth01\nsystem: debian/trixie\narch: amd64\n" + more
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(path, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rich has everything that a domain can say.
const rich = `
vm: {cpus: 2, pin: [10, 11], memory: 8G, bridge: kvmbr0, autostart: true, tpm: true, bus: scsi, serial: ROOT-1,
     nics: [{mac: "52:54:00:04:04:03"}, {model: e1000e, slot: "03.0"}],
     disks: [{file: /dev/hostvg/keycloak, slot: "05.0"}, {size: 1G, bus: ahci, serial: DATA-1}]}
shares: [{host: /srv/shared, path: /srv/shared}, {host: /srv/ro, path: /srv/ro, read_only: true}]
`

func guests(t *testing.T) map[string]*Guest {
	files := []File{{Path: "/dev/hostvg/keycloak", Format: "raw", Block: true}, {Path: "/images/auth01-disk3.qcow2", Format: "qcow2"}}
	disk := File{Path: "/images/auth01.qcow2", Format: "qcow2"}
	return map[string]*Guest{
		"kernel": {
			Definition: load(t, rich), Disk: disk, Extra: files,
			Kernel: "/boot/vmlinuz-current", Initrd: "/boot/initramfs-current", Cmdline: "console=tty0 console=ttyS0 ro root=/dev/vda net.ifnames=0",
		},
		"uefi":    {Definition: load(t, "disk: {sector_size: 4096}\n"), Disk: File{Path: "/images/a&b.raw", Format: "raw"}, Firmware: "uefi"},
		"emulate": {Definition: load(t, ""), Disk: disk, Firmware: "bios", Emulate: true},
		"cpu":     {Definition: load(t, "vm: {cpu: Haswell, nics: [{model: rtl8139}]}\n"), Disk: disk, Kernel: "/k", Memory: 3 << 30},
	}
}

func TestDomains(t *testing.T) {
	for name, g := range guests(t) {
		t.Run(name, func(t *testing.T) {
			got, err := Domain(g)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// libvirt's own schema judges every domain.
func TestSchema(t *testing.T) {
	for program, pkg := range map[string]string{"virt-xml-validate": "libvirt-clients", "xmllint": "libxml2-utils"} { // which the former runs
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here (package %s)", program, pkg)
		}
	}
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) < 4 {
		t.Fatalf("only %v (%v)", files, err)
	}
	for _, f := range files {
		if out, err := exec.Command("virt-xml-validate", f, "domain").CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", f, err, out)
		}
	}
}

// TestDefine has libvirt define the domain, in a driver inside virsh that needs
// no daemon, and looks for every item in what libvirt makes of it.
func TestDefine(t *testing.T) {
	virsh := embedded(t)
	g := guests(t)["kernel"]
	g.Definition.VM.TPM = false // libvirt accepts one only where swtpm is installed
	g.Emulate = true            // and host-passthrough only where KVM works
	g.Definition.Shares = g.Definition.Shares[1:]
	text, err := Domain(g)
	if err != nil {
		t.Fatal(err)
	}
	virsh(string(text), "define", "/dev/stdin")
	dump := virsh("", "dumpxml", "auth01")
	for _, want := range []string{
		"<name>auth01</name>", "<memory unit='KiB'>8388608</memory>", "<vcpu placement='static' cpuset='10-11'>2</vcpu>",
		"<vcpupin vcpu='1' cpuset='11'/>", "<kernel>/boot/vmlinuz-current</kernel>", "<initrd>/boot/initramfs-current</initrd>",
		"<cmdline>console=tty0 console=ttyS0 ro root=/dev/vda net.ifnames=0</cmdline>", "<source file='/images/auth01.qcow2'/>",
		"<serial>ROOT-1</serial>", "<source dev='/dev/hostvg/keycloak'/>", "<mac address='52:54:00:04:04:03'/>", "<source bridge='kvmbr0'/>",
		"autostart=\"yes\"", "<cpu mode='maximum'", "<target type='virtio' name='slipway.agent'/>", "<source dir='/srv/ro'/>",
		"slot='0x05'",
	} {
		if !strings.Contains(dump, want) {
			t.Errorf("libvirt's own description has no %s", want)
		}
	}
	if strings.Contains(dump, "<graphics") {
		t.Error("the domain has graphics")
	}
	virsh("", "autostart", "auth01")
}

// embedded runs virsh with a driver of its own, as a user without rights: the
// driver of root wants users that only a whole libvirt makes.
func embedded(t *testing.T) func(stdin string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("virsh"); err != nil {
		t.Skip("there is no virsh here (package libvirt-clients)")
	}
	drivers, _ := filepath.Glob("/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so")
	if len(drivers) == 0 {
		t.Skip("libvirt has no driver of QEMU here (package libvirt-daemon-driver-qemu)")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("libvirt wants a QEMU of the host, and there is none")
	}
	dir, err := os.MkdirTemp("", "virsh-") // of another user, and a short path for its sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var as *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		const nobody = 65534
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///embed?root=" + dir}, args...)...)
		cmd.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr, cmd.Dir = as, dir
		if stdin != "" {
			file := filepath.Join(dir, "domain.xml")
			if err := os.WriteFile(file, []byte(stdin), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd.Args[len(cmd.Args)-1] = file
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("virsh %s: %v\n%s", args, err, errs.String())
		}
		return out.String()
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		more    string
		emulate bool
		want    string
	}{
		"nvme":       {more: "vm: {bus: nvme}\n", want: "auth.yaml:5:11: libvirt attaches"},
		"extra nvme": {more: "vm: {disks: [{size: 1G, bus: nvme}]}\n", want: "choose virtio, ahci or scsi"},
		"host cpu":   {more: "vm: {cpu: host}\n", emulate: true, want: "no host processor"},
	} {
		d := load(t, c.more)
		_, err := Domain(&Guest{Definition: d, Disk: File{Path: "/x", Format: "raw"}, Extra: make([]File, len(d.VM.Disks)), Emulate: c.emulate})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for want, list := range map[string][]int{"": nil, "3": {3}, "10-11": {11, 10}, "0,2-4,9": {4, 9, 2, 3, 0, 3}} {
		if got := ranges(list); got != want {
			t.Errorf("%v: got %q, want %q", list, got, want)
		}
	}
}

func TestHostLinks(t *testing.T) {
	root := t.TempDir()
	if _, _, err := hostLinks(root); err == nil || !strings.Contains(err.Error(), "/boot/vmlinuz-current") {
		t.Errorf("without links: %v", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(root, "boot"), 0o755))
	for _, name := range []string{"vmlinuz-6.12", "initramfs-6.12"} {
		must(os.WriteFile(filepath.Join(root, "boot", name), nil, 0o644))
	}
	must(os.Symlink("boot/vmlinuz-6.12", filepath.Join(root, "vmlinuz")))
	kernel, initrd, err := hostLinks(root)
	if kernel != filepath.Join(root, "vmlinuz") || initrd != "" || err != nil {
		t.Errorf("got %s, %s, %v", kernel, initrd, err)
	}
	must(os.Symlink("vmlinuz-6.12", filepath.Join(root, "boot/vmlinuz-current")))
	must(os.Symlink("initramfs-6.12", filepath.Join(root, "boot/initramfs-current")))
	kernel, initrd, err = outside(machine.Kernel{Package: "host"}, root)
	if kernel != filepath.Join(root, "boot/vmlinuz-current") || initrd != filepath.Join(root, "boot/initramfs-current") || err != nil {
		t.Errorf("the names of the links themselves are wanted; got %s, %s, %v", kernel, initrd, err)
	}
}

func TestSettings(t *testing.T) {
	d := load(t, `
hostname: auth
ports: ["8080:80", "5353:53/udp"]
shares: [{host: /srv/shared, path: /srv/shared}]
container: {binds: ["/srv/a:/srv/ro:ro"], devices: [/dev/fuse], limits: {memory: 1G, cpus: 1.5, tasks: 512}}
`)
	d.Container.Binds = []machine.Bind{{Host: "/srv/a:b", Path: "/srv/ro", ReadOnly: true}}
	got, err := Settings(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `# auth01 of slipway; goes to /etc/systemd/nspawn/auth01.nspawn

[Exec]
Boot=yes
PrivateUsers=pick
Hostname=auth
ResolvConf=auto

[Files]
PrivateUsersOwnership=auto
BindReadOnly=/srv/a\:b:/srv/ro:rootidmap
Bind=/srv/shared:/srv/shared:rootidmap
Bind=/dev/fuse:/dev/fuse

[Network]
VirtualEthernet=yes
Port=tcp:8080:80
Port=udp:5353:53
`
	if string(got) != want {
		t.Errorf("settings: got\n%s\nwant\n%s", got, want)
	}
	want = "# auth01 of slipway\n\n[Service]\nMemoryMax=1073741824\nCPUQuota=150%\nTasksMax=512\nDeviceAllow=/dev/fuse rwm\n"
	if got := string(DropIn(d)); got != want {
		t.Errorf("drop-in: got\n%s\nwant\n%s", got, want)
	}
	if got := DropIn(load(t, "")); got != nil {
		t.Errorf("a machine without limits has a drop-in: %s", got)
	}
	d.Container.Devices = []string{"/dev/nvme*"}
	if _, err := Settings(d); err == nil || !strings.Contains(err.Error(), "patterns") {
		t.Errorf("a pattern of devices: %v", err)
	}
}

// A disk that a machine has written to is not replaced.
func TestUnused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.raw")
	if err := unused(path); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unused(path); err == nil {
		t.Error("a file of somebody else's would be replaced")
	}
	if err := os.WriteFile(image.Sidecar(path), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unused(path); err != nil {
		t.Errorf("as slipway wrote it: %v", err)
	}
	st, err := os.Stat(image.Sidecar(path))
	if err != nil {
		t.Fatal(err)
	}
	later := st.ModTime().Add(1e9)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if err := unused(path); err == nil || !strings.Contains(err.Error(), "its data") {
		t.Errorf("written to: %v", err)
	}
}

func TestShareMounts(t *testing.T) {
	d := load(t, rich)
	got := fmt.Sprint(shareMounts(d.Shares))
	want := "[{share0 /srv/shared virtiofs nofail,nosuid,nodev} {share1 /srv/ro 9p trans=virtio,version=9p2000.L,ro,nofail,nosuid,nodev}]"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(withShares(d).Mounts) != 2 || len(d.Mounts) != 0 {
		t.Error("the definition itself was changed, or not copied")
	}
}
