// Package installer drives real installers of distributions with the answers
// that slipway writes for them.
package installer

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb"
	"slipway/internal/e2e/kit"
	"slipway/internal/machine"
	"slipway/internal/netboot/answer"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
)

const definition = `slipway: v1
name: installed
system: debian/bookworm
arch: amd64
timezone: Europe/Zurich
users:
  - {name: ops, groups: [sudo], sudo: nopasswd, comment: "It's ops", password: {hash_file: ./ops.hash}}
files:
  - {path: /etc/motd, content: "afloat\n"}
  - {path: /etc/token, secret: {file: ./token}}
disk:
  partitions:
    - {use: bios}
    - {use: swap, size: 256M}
    - {use: root, grow: true, label: system}
boot: {console: ["ttyS0,115200"], firmware: [bios], timeout: 1}
run: ["test $(id -u ops) -ge 1000"]
netboot: {mode: install, firmware: bios, disk: "serial:INSTALLME", installer: {kind: preseed}}
`

// installation is one run of the installer.
type installation struct {
	t      *testing.T
	server *server
	vm     *qemu.VM
	ended  chan error
	disk   string
	other  string // a disk that nobody named
	config qemu.Config
}

// start boots the installer on two blank disks, in a lab of its own.
func start(t *testing.T) *installation {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the installer of this test is for amd64")
	}
	kit.NeedArchive(t)
	kit.LockQEMU(t)
	s, err := store.Open(filepath.Join(kit.CacheDir(t), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	programs := tools.Open(t.Context(), tools.Deps{Store: s, Family: deb.New(s)})
	dir := "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
	kernel, err := programs.Path(t.Context(), "debian-installer-12", dir+"linux")
	if err != nil {
		t.Fatal(err)
	}
	initrd, err := programs.Path(t.Context(), "debian-installer-12", dir+"initrd.gz")
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t)
	in := &installation{t: t, server: newServer(t), ended: make(chan error, 1)}
	cmdline := in.answer(c)
	work := t.TempDir()
	in.disk, in.other = blank(t, work, "disk.raw", 4<<30), blank(t, work, "other.raw", 64<<20)
	in.server.serve(c)
	in.config = qemu.Config{
		Programs: programs, Name: "installer", Memory: 1 << 30, CPUs: 2, RunDir: work, NoReboot: true, NoAgent: true,
		Boot: qemu.Boot{Kernel: kernel, Initrd: initrd, Cmdline: cmdline}, NICs: []qemu.NIC{c.card}, ConsoleLog: filepath.Join(work, "console"),
		Disks: []qemu.Disk{{Path: in.other, Serial: "OTHER", Ephemeral: true}, {Path: in.disk, Serial: "INSTALLME", Ephemeral: true}},
	}
	in.run()
	return in
}

// run starts the machine; it is ended with the test at the latest.
func (in *installation) run() {
	in.t.Helper()
	vm, err := qemu.Start(in.t.Context(), in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	in.vm = vm
	go func() { in.ended <- vm.Wait() }()
	go io.Copy(io.Discard, vm.Console) // the log has it
	in.t.Cleanup(func() {
		if in.t.Failed() {
			in.t.Logf("the end of the console:\n%s", tail(in.config.ConsoleLog, 6000))
			in.t.Logf("the end of syslog:\n%s", strings.Join(last(in.server.lines, 40), "\n"))
		}
		vm.Quit(context.Background())
		vm.Console.Close()
	})
}

func last(list []string, n int) []string { return list[max(0, len(list)-n):] }

func tail(path string, n int) string {
	data, _ := os.ReadFile(path)
	return string(data[max(0, len(data)-n):])
}

func blank(t *testing.T, dir, name string, size int64) string {
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}

// answer renders the definition and gives the command line.
func (in *installation) answer(c *cable) string {
	in.t.Helper()
	dir := in.t.TempDir()
	kit.Write(in.t, dir, "ops.hash", "$6$saltsalt$vUiu5SUmkVh0Eta1cEuWT9mOJ.bsyvdpzAtJz5e2XqS3rfLrTVQXkPCyzJaMXSEvFZfHTxRDB0pGTPcGk7zj./\n")
	kit.Write(in.t, dir, "token", "secret\n")
	d, err := machine.Load(kit.Write(in.t, dir, "installed.yaml", definition), machine.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	address, _ := net.ParseMAC(mac)
	base := "http://" + c.server.String()
	facts := answer.Facts{
		MACs: []net.HardwareAddr{address}, Base: base + token, Report: base + token + "report", Logs: base + token + "logs",
		Syslog: c.server.String() + ":514", Disk: d.Netboot.Disk, Mirror: base + "/debian",
		Args: []string{"DEBIAN_FRONTEND=text"},
	}
	files, err := answer.Render(answer.Preseed, d, facts)
	if err != nil {
		in.t.Fatal(err)
	}
	for _, f := range files {
		in.server.files[f.Name] = f
	}
	line, err := answer.BootArgs(answer.Preseed, d, facts, answer.Direct)
	if err != nil {
		in.t.Fatal(err)
	}
	return line
}

// TestInstallerDebianBegins: the real debian-installer fetches its preseed and runs
// what it says, finds the disk by its serial number, partitions it and begins to
// install the base system, with nothing but our server to talk to.
func TestInstallerDebianBegins(t *testing.T) {
	kit.Tier(t, "long")
	in := start(t)
	// It takes a few minutes alone on a computer; the limits are for busy ones.
	in.reach(15*time.Minute, "stage installer")
	in.begun()
	in.reach(15*time.Minute, "stage partition")
	in.reach(10*time.Minute, "stage base")
	in.reach(10*time.Minute, "get /pool/main/b/base-files/base-files_")
	in.check()
}

// reach waits until something has happened. Mirrors that hold no parts of the
// installer (*.udeb) end the test there, and it says so.
func (in *installation) reach(limit time.Duration, what string) {
	in.t.Helper()
	select {
	case <-in.server.when(what):
	case <-in.server.when("missing"):
		in.archiveRead()
		in.t.Skipf("the archive at hand lacks parts of the installer (%s): tried as far as that", in.server.missing())
	case err := <-in.ended:
		in.t.Fatalf("waiting for %q: the machine ended (%v)", what, err)
	case <-time.After(limit):
		in.t.Fatalf("waiting for %q: not within %v", what, limit)
	}
}

// begun checks what the installer did with its answer until then.
func (in *installation) begun() {
	in.t.Helper()
	for _, name := range []string{"preseed.cfg", "early.sh"} {
		if in.server.count(token+name) != 1 {
			in.t.Errorf("%s was fetched %d times, want once", name, in.server.count(token+name))
		}
	}
}

// archiveRead checks that the installer chose the preseed's archive, which needs
// its answers, and trusted what it found there.
func (in *installation) archiveRead() {
	in.t.Helper()
	if in.server.count("/debian/dists/bookworm/main/debian-installer/binary-amd64/Packages.xz") == 0 {
		in.t.Error("the index of the installer's parts was not asked for")
	}
	if !in.server.logged("gpgv: Good signature") {
		in.t.Errorf("syslog says nothing of the archive's signature:\n%s", strings.Join(last(in.server.lines, 20), "\n"))
	}
}

// check looks at what the installer has done to the disks, and at what it said.
func (in *installation) check() {
	in.t.Helper()
	table := make([]byte, 1024)
	for path, want := range map[string]bool{in.disk: true, in.other: false} {
		f, err := os.Open(path)
		if err != nil {
			in.t.Fatal(err)
		}
		f.ReadAt(table, 0)
		f.Close()
		if got := string(table[512:520]) == "EFI PART"; got != want {
			in.t.Errorf("%s: partitioned is %v, want %v", filepath.Base(path), got, want)
		}
	}
	if !in.server.logged("installing on /dev/vdb") {
		in.t.Error("the installer's syslog did not say which disk it chose")
	}
}
