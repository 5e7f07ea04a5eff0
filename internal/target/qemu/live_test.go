package qemu_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

// liveStore names a store that keeps the tools between runs; without it the
// host's own QEMU is used.
const liveStore = "SLIPWAY_TEST_STORE"

// hostPrograms are those of this computer, whatever their version.
type hostPrograms struct{}

func (hostPrograms) Command(ctx context.Context, _, program string, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/libexec/" + program); err != nil {
			return nil, err
		}
	}
	return exec.CommandContext(ctx, path, args...), nil
}

func (hostPrograms) Path(_ context.Context, _, name string) (string, error) {
	_, err := os.Stat(name)
	return name, err
}

// programs finds a QEMU, or skips the test.
func programs(t *testing.T) qemu.Programs {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the guests of this test are for amd64")
	}
	if dir := os.Getenv(liveStore); dir != "" {
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return tools.Open(t.Context(), tools.Deps{Store: s, Family: deb.New(s)})
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skipf("there is no qemu-system-x86_64 here, and %s names no store with the tools", liveStore)
	}
	return hostPrograms{}
}

// memo remembers the accelerator for all tests.
var memo string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slipway-qemu-test-*")
	if err != nil {
		panic(err)
	}
	memo = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// tcg is emulation: what is tested is the same everywhere.
func tcg(t *testing.T, p qemu.Programs) *qemu.Accel {
	t.Helper()
	a, err := qemu.Accelerator(t.Context(), p, "amd64", memo)
	if err != nil {
		t.Fatal(err)
	}
	emulated := *a
	emulated.Name = "tcg"
	return &emulated
}

// echoSector is a boot sector that reads the second sector of its disk, says
// it on the serial port, and does what the byte at its end says: 1 switches
// the machine off, 2 resets it, 0 waits.
const echoSector = "" +
	"31c08ed88ec08ed0bc007c" + // segments 0; sp 0x7c00
	"b80102b90200b600bb007ecd13" + // read sector 2 of drive dl to 0x7e00
	"be007ebaf803ac84c07403eeebf8" + // print it to 0x3f8 until a zero
	"a0fd7d3c0174073c02740c" + // what the byte says
	"f4ebfd" + // wait
	"b80020ba0406efebf4" + // 1: out 0x604, 0x2000
	"b006baf90ceeebec" // 2: out 0xcf9, 6

func echoDisk(t *testing.T, text string, then byte) string {
	t.Helper()
	disk := make([]byte, 1<<20)
	if _, err := hex.Decode(disk, []byte(echoSector)); err != nil {
		t.Fatal(err)
	}
	copy(disk[512:], text)
	disk[509], disk[510], disk[511] = then, 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// machine is a small one that boots a disk.
func machine(t *testing.T, p qemu.Programs, disks ...qemu.Disk) qemu.Config {
	return qemu.Config{Programs: p, Name: "test", Accel: tcg(t, p), Memory: 64 << 20, RunDir: t.TempDir(), Disks: disks}
}

// start starts a machine that is killed with the test at the latest.
func start(t *testing.T, c qemu.Config) *qemu.VM {
	t.Helper()
	vm, err := qemu.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		vm.Quit(context.Background())
		vm.Console.Close()
		if vm.Agent != nil {
			vm.Agent.Close()
		}
	})
	return vm
}

// expect reads the console until it has said something.
func expect(t *testing.T, vm *qemu.VM, text string) {
	t.Helper()
	vm.Console.SetReadDeadline(time.Now().Add(60 * time.Second))
	var said bytes.Buffer
	r := bufio.NewReader(vm.Console)
	for !bytes.Contains(said.Bytes(), []byte(text)) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("waiting for %q: %v; the console said %q", text, err, said.String())
		}
		said.WriteByte(b)
	}
}

func wait(t *testing.T, vm *qemu.VM) error {
	t.Helper()
	select {
	case <-vm.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("the machine does not end")
	}
	return vm.Wait()
}

func TestBuses(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	for _, d := range []qemu.Disk{
		{Bus: "virtio", Serial: "serial-1", Slot: "03:00.0"}, {Bus: "ahci", Serial: "s2"}, {Bus: "nvme"}, {Bus: "scsi", ReadOnly: true},
		{Bus: "usb"}, {Bus: "virtio", Ephemeral: true, Slot: "1d"},
	} {
		t.Run(d.Bus+d.Slot, func(t *testing.T) {
			d.Path = echoDisk(t, "read from "+d.Bus+"\n", 1)
			before := time.Now()
			vm := start(t, machine(t, p, d))
			t.Logf("answered after %v", time.Since(before))
			expect(t, vm, "read from "+d.Bus+"\n")
			if err := wait(t, vm); err != nil || vm.End() != "guest-shutdown" {
				t.Errorf("it ended as %q: %v", vm.End(), err)
			}
			if agent := vm.Agent; agent == nil {
				t.Error("there is no agent's port")
			} else if _, err := agent.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the agent's port after the end: %v", err)
			}
			var names []string
			for e := range vm.Events() {
				names = append(names, e.Name)
			}
			if !strings.Contains(fmt.Sprint(names), "SHUTDOWN") {
				t.Errorf("events %v", names)
			}
		})
	}
}

func TestConsoleOfBIOS(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	c := machine(t, p, qemu.Disk{Path: echoDisk(t, "loader\n", 0)})
	c.Boot.Firmware, c.ConsoleLog, c.CPUs, c.Pin = "bios", filepath.Join(t.TempDir(), "console,log"), 2, []int{0, 0}
	vm := start(t, c)
	expect(t, vm, "SeaBIOS")
	expect(t, vm, "loader\n")
	var log []byte
	for range 100 { // QEMU writes it after what we have read
		log, _ = os.ReadFile(c.ConsoleLog)
		if bytes.Contains(log, []byte("loader\n")) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !bytes.Contains(log, []byte("loader\n")) {
		t.Errorf("the console's log is %q", log)
	}
	// This guest has no system that could hear the power button.
	if graceful, err := vm.Stop(t.Context(), 200*time.Millisecond); graceful || err != nil {
		t.Errorf("stopping: %v, %v", graceful, err)
	}
	if err := vm.Wait(); err != nil {
		t.Errorf("after Stop: %v", err)
	}
}

func TestReset(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	c := machine(t, p, qemu.Disk{Path: echoDisk(t, "round\n", 2)})
	vm := start(t, c)
	for range 2 {
		expect(t, vm, "round\n")
	}
	for e := range vm.Events() {
		if e.Name == "RESET" {
			break
		}
	}
	if status, err := vm.Status(t.Context()); err != nil || status != "running" {
		t.Errorf("status %q, %v", status, err)
	}
	vm.Quit(t.Context())
	c.NoReboot = true
	vm = start(t, c)
	if err := wait(t, vm); err != nil || vm.End() != "guest-reset" {
		t.Errorf("with NoReboot it ended as %q: %v", vm.End(), err)
	}
}

func TestKilled(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	vm := start(t, machine(t, p, qemu.Disk{Path: echoDisk(t, "up\n", 0)}))
	expect(t, vm, "up\n")
	other, err := os.FindProcess(vm.PID)
	if err != nil {
		t.Fatal(err)
	}
	other.Kill()
	var end *qemu.EndError
	if err := wait(t, vm); !errors.As(err, &end) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
	if err := vm.PowerDown(t.Context()); err == nil {
		t.Error("a dead machine has a power button")
	}
}

func TestDiskInUse(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	c := machine(t, p, qemu.Disk{Path: echoDisk(t, "up\n", 0)})
	start(t, c)
	if _, err := qemu.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use by another machine") {
		t.Errorf("got %v", err)
	}
}

func TestSnapshot(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	base := echoDisk(t, "up\n", 0)
	overlay := filepath.Join(t.TempDir(), "overlay.qcow2")
	cmd, err := p.Command(t.Context(), "qemu-img", "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay)
	if err != nil {
		t.Skipf("there is no qemu-img: %v", err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	vm := start(t, machine(t, p, qemu.Disk{Path: overlay, Format: "qcow2"}))
	expect(t, vm, "up\n")
	if err := vm.Snapshot(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if err := vm.Restore(t.Context(), "first"); err != nil {
		t.Error(err)
	}
	if err := vm.Restore(t.Context(), "second"); err == nil {
		t.Error("a snapshot that does not exist was restored")
	}
	if err := vm.DeleteSnapshot(t.Context(), "first"); err != nil {
		t.Error(err)
	}
	if status, err := vm.Status(t.Context()); err != nil || status != "running" {
		t.Errorf("afterwards it is %q, %v", status, err)
	}
}

func TestUEFI(t *testing.T) {
	p := programs(t)
	if _, err := p.Path(t.Context(), "qemu", "/usr/share/OVMF/OVMF_CODE_4M.fd"); err != nil {
		t.Skipf("there is no OVMF: %v", err)
	}
	kit.LockQEMU(t)
	c := machine(t, p)
	c.Boot.Firmware, c.Memory, c.OEMStrings = "uefi", 128<<20, []string{"a,b"}
	vm := start(t, c)
	expect(t, vm, "UEFI")
	vm.Quit(t.Context())
	if st, err := os.Stat(filepath.Join(c.RunDir, "uefi-variables")); err != nil || st.Size() < 64<<10 {
		t.Errorf("the variables: %v", err)
	}
}

func TestShareAndTPM(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	c := machine(t, p, qemu.Disk{Path: echoDisk(t, "up\n", 0)})
	c.Shares = []qemu.Share{{Tag: "any", Path: t.TempDir()}, {Tag: "nine", Path: t.TempDir(), Type: "9p", ReadOnly: true}}
	if cmd, err := p.Command(t.Context(), "swtpm", "swtpm", "--version"); err == nil && cmd.Run() == nil {
		c.TPM = filepath.Join(t.TempDir(), "tpm")
	}
	vm := start(t, c)
	t.Logf("shares: %+v, TPM: %q", vm.Shares, c.TPM)
	if vm.Shares[1].Type != "9p" || vm.Shares[0].Type == "" {
		t.Errorf("shares %+v", vm.Shares)
	}
	expect(t, vm, "up\n")
	var tpms []struct{ ID string }
	if err := vm.QMP.Run(t.Context(), "query-tpm", nil, &tpms); err != nil || (c.TPM != "") != (len(tpms) == 1) {
		t.Errorf("TPMs: %v, %v", tpms, err)
	}
}

func TestAcceleratorIsRemembered(t *testing.T) {
	p := programs(t)
	kit.LockQEMU(t)
	memo := t.TempDir()
	first, err := qemu.Accelerator(t.Context(), p, "amd64", memo)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("QEMU %s, %s; %s", first.Version, first.Name, first.Why)
	if (first.Name == "kvm") != (first.Why == "") || first.Version == "" {
		t.Errorf("first %+v", first)
	}
	before := time.Now()
	second, err := qemu.Accelerator(t.Context(), p, "amd64", memo)
	if err != nil || *second != *first {
		t.Errorf("second %+v, %v", second, err)
	}
	if took := time.Since(before); took > 50*time.Millisecond {
		t.Errorf("remembering took %v", took)
	}
}

// TestCards: what a machine sends over either cable arrives at the bridge. The
// card's boot ROM asks for an address.
func TestCards(t *testing.T) {
	p := programs(t)
	runtime.LockOSThread() // never unlocked: the thread's network ends with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make network namespaces: %v", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br"
	err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	if err == nil {
		err = netlink.LinkSetUp(&netlink.Bridge{LinkAttrs: attrs})
	}
	if err != nil {
		t.Skipf("there are no bridges here: %v", err)
	}
	bridge, err := netlink.LinkByName("br")
	if err != nil {
		t.Fatal(err)
	}
	netlink.AddrAdd(bridge, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}})
	server, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 67})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	kit.LockQEMU(t)
	for i, kind := range []string{"tap", "stream"} {
		nic := qemu.NIC{Boot: 1}
		if kind == "tap" {
			nic.Tap, err = link.OpenTap("br", "m0")
		} else {
			var pump *link.Pump
			if nic.Stream, pump, err = link.OpenPump("br", "m1"); err == nil {
				defer pump.Close()
			}
		}
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		c := machine(t, p)
		c.Name, c.NICs, c.Memory = fmt.Sprintf("card%d", i), []qemu.NIC{nic}, 128<<20
		vm := start(t, c)
		server.SetReadDeadline(time.Now().Add(60 * time.Second))
		buf := make([]byte, 2000)
		for {
			n, err := server.Read(buf)
			if err != nil {
				t.Errorf("%s: nothing arrives: %v", kind, err)
				break
			}
			if n > 34 && bytes.Equal(buf[28:34], qemu.MAC(c.Name, 0)) {
				break
			}
		}
		vm.Quit(t.Context())
	}
}

// parentMark tells a run of this test binary that it is to start a machine,
// say its process and wait to be killed.
const parentMark = "SLIPWAY_TEST_QEMU_PARENT"

func TestDiesWithParent(t *testing.T) {
	p := programs(t)
	if disk := os.Getenv(parentMark); disk != "" {
		vm := start(t, machine(t, p, qemu.Disk{Path: disk}))
		fmt.Printf("pid %d\n", vm.PID)
		select {}
	}
	kit.LockQEMU(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDiesWithParent$")
	cmd.Env = append(os.Environ(), parentMark+"="+echoDisk(t, "up\n", 0))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, pid := bufio.NewScanner(out), 0
	for pid == 0 && lines.Scan() {
		fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if pid == 0 {
		t.Fatal("the parent started no machine")
	}
	for range 100 {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("QEMU lives on")
}
