package netboot

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"slipway/internal/distro/deb"
	"slipway/internal/e2e/kit"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/target/qemu/link"
	"slipway/internal/tools"
)

const bridge = "lan0"

// lan is a network of its own with a boot server in it: the test's thread is in
// its namespace, which ends with the test.
type lan struct {
	t     *testing.T
	w     *kit.World
	tools *tools.Tools
	out   safeBuffer // what the server prints
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newLAN readies all that comes from outside, and enters the network. Flags are
// how the machines are built before.
func newLAN(t *testing.T, fleet string, flags ...string) *lan {
	t.Helper()
	kit.Tier(t, "boot")
	if os.Geteuid() != 0 {
		t.Skip("a network namespace of its own needs root")
	}
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	l := &lan{t: t, w: kit.SharedWorld(t)}
	s, err := store.Open(l.w.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l.tools = tools.Open(t.Context(), tools.Deps{Store: s, Family: deb.New(s)})
	if _, err := l.tools.IPXE(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.tools.Ensure(t.Context(), "qemu"); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(fleet, "*.yaml"))
	for _, f := range files { // the namespace has no way to the archive
		l.w.Must(append([]string{"build", f, "--for", "bootable"}, flags...)...)
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	lo, _ := netlink.LinkByName("lo")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	br := &netlink.Bridge{LinkAttrs: attrs}
	must(t, netlink.LinkSetUp(lo), netlink.LinkAdd(br), netlink.AddrAdd(br, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}), netlink.LinkSetUp(br))
	return l
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a program in the network until the test ends, or until it is
// stopped.
func (l *lan) start(cmd *exec.Cmd) (stop func()) {
	l.t.Helper()
	cmd.Stdout, cmd.Stderr = &l.out, &l.out
	must(l.t, cmd.Start())
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
	})
	l.t.Cleanup(stop)
	return stop
}

// serve runs the boot server and waits until it answers.
func (l *lan) serve(args ...string) {
	l.t.Helper()
	l.start(l.w.Command(context.Background(), append([]string{"serve"}, args...)...))
	l.await("serving ", time.Minute)
}

// await waits until the server has printed all of the texts.
func (l *lan) await(text string, within time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(within); !strings.Contains(l.out.String(), text); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("nothing says %q after %s:\n%s", text, within, l.out.String())
		}
	}
}

// machine switches a machine with an empty disk on; its console is given.
func (l *lan) machine(name, mac, firmware string) *safeBuffer {
	l.t.Helper()
	disk := filepath.Join(l.t.TempDir(), "disk")
	must(l.t, os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20))
	console, off := l.powerOn(name, mac, firmware, disk, 256<<20)
	l.t.Cleanup(off)
	return console
}

// powerOn switches a machine with that disk on; off pulls the plug.
func (l *lan) powerOn(name, mac, firmware, disk string, memory int64) (console *safeBuffer, off func()) {
	l.t.Helper()
	cable, err := link.Open(bridge, name)
	must(l.t, err)
	hw, err := net.ParseMAC(mac)
	must(l.t, err)
	vm, err := qemu.Start(context.Background(), qemu.Config{
		Programs: l.tools, Name: name, RunDir: l.t.TempDir(), Memory: memory, NoAgent: true,
		Boot:  qemu.Boot{Firmware: firmware, Network: "pxe"},
		NICs:  []qemu.NIC{{MAC: hw, Tap: cable.Tap, Stream: cable.Stream, Boot: 1, NoROM: firmware == "uefi"}},
		Disks: []qemu.Disk{{Path: disk, Boot: 2, Serial: "TARGET"}},
	})
	must(l.t, err)
	console = new(safeBuffer)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := vm.Console.Read(buf)
			console.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	return console, sync.OnceFunc(func() { vm.Quit(context.Background()); vm.Console.Close(); cable.Close() })
}

// booted waits until a machine's kernel has told that it was started for it.
func (l *lan) booted(console *safeBuffer, mac string) {
	l.t.Helper()
	want := "BOOTIF=01-" + strings.ReplaceAll(mac, ":", "-")
	for end := time.Now().Add(6 * time.Minute); !strings.Contains(console.String(), want); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("no kernel was started with %s\nserver:\n%s\nconsole:\n%s", want, l.out.String(), console.String())
		}
	}
}

// fleetOf writes a fleet of tiny machines, each known by its address.
func fleetOf(t *testing.T, macs map[string]string) string {
	t.Helper()
	dir, program := t.TempDir(), server(t)
	for name, mac := range macs {
		text := strings.NewReplacer("%SERVER%", program, "%NETBOOT%", fmt.Sprintf(`{match: {mac: "%s"}}`, mac), "name: tiny", "name: "+name,
			"linux-image-cloud-amd64}", "linux-image-cloud-amd64, cmdline: [machine="+name+"]}").Replace(tiny)
		must(t, os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o644))
	}
	return dir
}

// TestBootNetbootTwo boots two different machines at once from one server.
func TestBootNetbootTwo(t *testing.T) {
	one, two := "52:54:00:00:0a:01", "52:54:00:00:0a:02"
	dir := fleetOf(t, map[string]string{"one": one, "two": two})
	l := newLAN(t, dir)
	l.serve(dir, "--offline", "--interface", bridge, "--pool", "192.0.2.100-192.0.2.120")
	l.await("one is ready", 5*time.Minute)
	l.await("two is ready", 5*time.Minute)
	first, second := l.machine("one", one, "bios"), l.machine("two", two, "uefi")
	l.booted(first, one)
	l.booted(second, two)
	if !strings.Contains(first.String(), "machine=one") || !strings.Contains(second.String(), "machine=two") {
		t.Errorf("they did not get their own systems:\n%s", l.out.String())
	}
}

// TestBootNetbootProxy boots beside dnsmasq, which gives the addresses.
func TestBootNetbootProxy(t *testing.T) {
	dnsmasq, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Skip("dnsmasq is not installed")
	}
	mac := "52:54:00:00:0b:01"
	dir := fleetOf(t, map[string]string{"one": mac})
	l := newLAN(t, dir)
	// A DHCP server of its own address: two on one host would share the port.
	other := exec.Command(dnsmasq, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=far0", "--bind-interfaces",
		"--dhcp-range=192.0.2.50,192.0.2.60,255.255.255.0", "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"), "--user=root", "--log-dhcp", "--log-facility=-")
	l.far(other)
	l.serve(dir, "--offline", "--interface", bridge, "--proxy")
	l.await("one is ready", 5*time.Minute)
	l.booted(l.machine("one", mac, "uefi"), mac)
	if !strings.Contains(l.out.String(), "DHCPACK(far0) 192.0.2.5") {
		t.Errorf("dnsmasq gave no address:\n%s", l.out.String())
	}
}

// far runs a program in a network namespace of its own, connected with the
// bridge by its interface far0.
func (l *lan) far(cmd *exec.Cmd) {
	l.t.Helper()
	here, err := os.Open("/proc/thread-self/ns/net")
	must(l.t, err)
	defer here.Close()
	must(l.t, unix.Unshare(unix.CLONE_NEWNET))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "far0"
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "near0", PeerNamespace: netlink.NsFd(here.Fd())}
	must(l.t, netlink.LinkAdd(pair))
	far, err := netlink.LinkByName("far0")
	must(l.t, err, netlink.AddrAdd(far, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 2), Mask: net.CIDRMask(24, 32)}}), netlink.LinkSetUp(far))
	l.start(cmd)
	must(l.t, unix.Setns(int(here.Fd()), unix.CLONE_NEWNET))
	near, err := netlink.LinkByName("near0")
	must(l.t, err)
	br, err := netlink.LinkByName(bridge)
	must(l.t, err, netlink.LinkSetMaster(near, br), netlink.LinkSetUp(near))
}
