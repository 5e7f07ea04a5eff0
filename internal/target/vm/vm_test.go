package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/machine"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

func TestMachine(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	spec.Definition.Hostname = "host-of-fake"
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	if m.State != supervisor.Running || m.Target != "vm" || len(m.Addresses) != 2 || unix.Kill(m.PID, 0) != nil {
		t.Errorf("%+v", m.Record)
	}
	var names []string
	for _, s := range m.Stages {
		names = append(names, s.Name)
	}
	for _, want := range []string{"firmware", "kernel", "root", "agent"} {
		if !slices.Contains(names, want) {
			t.Errorf("stage %s is missing in %v", want, names)
		}
	}
	var cfg wire.Config
	if err := json.Unmarshal([]byte(ask(t, m, "config")), &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.Hostname != "host-of-fake" || len(cfg.Network) != 1 || !strings.HasPrefix(cfg.Network[0].Addresses[0], m.Addresses[0]+"/") ||
		!strings.HasPrefix(cfg.Network[0].MAC, "52:54:00:") {
		t.Errorf("configuration: %+v", cfg)
	}
	args := ask(t, m, "args")
	for _, want := range []string{overlayFile, "mac=" + cfg.Network[0].MAC, "guest=ok"} {
		if !strings.Contains(args, want) {
			t.Errorf("QEMU's arguments lack %s", want)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d, err := m.Inspect(ctx)
	if err != nil || d.Memory == 0 || d.Disk == 0 {
		t.Errorf("inspect: %+v, %v", d, err)
	}
	if got := m.ConsoleTail(ctx); got != "[    0.000000] Linux version 6.0-fake\nfake login:" {
		t.Errorf("the console: %q", got)
	}
}

func TestColdBoot(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reach, err := m.Reach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer reach.Close()
	if err := reach.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := supervisor.Find(spec.Runtime, spec.Name)
	if err != nil || again.PID == m.PID || again.Restarts != 1 || again.State != supervisor.Running {
		t.Errorf("after a cold boot: %+v, %v", again, err)
	}
	m.Run(ctx, "reset") // the guest reboots by itself
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if again, err = supervisor.Find(spec.Runtime, spec.Name); err == nil && again.Restarts == 2 && again.State == supervisor.Running {
			return
		}
	}
	t.Errorf("it did not come back after its own reboot: %+v, %v", again, err)
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		guest, stage string
		want         []string
	}{
		{"panic", "kernel", []string{"the kernel panicked: no fish", "the console's last lines:", "\nwords before\n", "[    1.1] CPU: 0"}},
		{"no-root", "root", []string{"the root is not there"}},
		{"die", "kernel", []string{"the machine ended before its agent answered", "QEMU died (exit status 3)", "the fake is broken"}},
		{"hang", "kernel", []string{"stage kernel did not end in ", "the console's last lines:\n[    0.000000] Linux version"}},
	} {
		t.Run(c.guest, func(t *testing.T) {
			if c.guest == "hang" {
				t.Setenv("SLIPWAY_TEST_PATIENCE", "1s")
			}
			spec := fakeSpec(t, "fake", c.guest)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			var at string
			_, err := supervisor.Up(ctx, spec, func(p supervisor.Progress) {
				if !p.OK {
					at = p.Stage
				}
			})
			if err == nil {
				t.Fatal("it came up")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if at != c.stage {
				t.Errorf("it failed in stage %q, want %q", at, c.stage)
			}
			for _, dir := range []string{spec.RunDir, filepath.Join(spec.Runtime, "machines", spec.Name)} {
				if _, err := os.Stat(dir); err == nil {
					t.Errorf("%s is left", dir)
				}
			}
		})
	}
}

func TestPanicWhileUp(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, m, "panic")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m, err = supervisor.Find(spec.Runtime, spec.Name); err == nil && m.State == supervisor.Failed {
			break
		}
	}
	if m.Reason != "the kernel panicked: Fatal exception" {
		t.Errorf("state %s, reason %q", m.State, m.Reason)
	}
}

// A killed supervisor takes QEMU with it, or what repairs does.
func TestKilledSupervisor(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(m.Supervisor, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if now, err := supervisor.Find(spec.Runtime, spec.Name); err == nil && now.State == supervisor.Failed {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if names, err := supervisor.Repair(context.Background(), spec.Runtime); err != nil || len(names) != 1 {
		t.Errorf("repaired %v, %v", names, err)
	}
	for end := time.Now().Add(5 * time.Second); unix.Kill(m.PID, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("QEMU outlives its supervisor")
		}
	}
	if _, err := os.Stat(spec.RunDir); err == nil {
		t.Error("its run folder is left")
	}
}

func TestKeepAndState(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	spec.Keep = true
	spec.Definition.State = []string{"/var/lib/data"}
	spec.Boot.State = supervisor.Span{Offset: 1 << 20, Length: 1 << 20}
	spec.Definition.VM.Disks = []machine.VMDisk{{Size: 1 << 20, Serial: "second"}}
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	if args := ask(t, m, "args"); !strings.Contains(args, stateFile) || !strings.Contains(args, "disk2.raw") {
		t.Errorf("QEMU's arguments lack a disk: %s", args)
	}
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(filepath.Join(spec.StateDir, stateFile))
	if err != nil || !bytes.Equal(state, bytes.Repeat([]byte{1}, 1<<20)) {
		t.Errorf("the disk for state: %d bytes, %v", len(state), err)
	}
	for _, name := range []string{overlayFile, "disk2.raw"} {
		if _, err := os.Stat(filepath.Join(spec.RunDir, name)); err != nil {
			t.Errorf("not kept: %v", err)
		}
	}
	spec.Definition.State = append(spec.Definition.State, "/srv")
	if _, err := start(t, spec); err == nil || !strings.Contains(err.Error(), "holds /var/lib/data and not /srv") {
		t.Errorf("a path that the kept disk has not: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*supervisor.Spec)
		want   string
	}{
		"nothing to boot": {func(s *supervisor.Spec) { s.Boot = nil }, "needs a disk or a kernel"},
		"image gone":      {func(s *supervisor.Spec) { s.Boot.Disk = "/no/such/disk" }, "/no/such/disk is not there: build it again"},
		"memory":          {func(s *supervisor.Spec) { s.Boot.Memory = 1 << 30 }, "it needs 1024M of memory and vm.memory is 64M"},
		"address":         {func(s *supervisor.Spec) { s.Definition.VM.NICs = []machine.NIC{{MAC: "nonsense"}} }, "network card 1"},
		"twice": {func(s *supervisor.Spec) {
			s.Definition.VM.NICs = []machine.NIC{{MAC: "52:54:00:00:00:01"}, {MAC: "52:54:00:00:00:01"}}
		}, "has the hardware address 52:54:00:00:00:01 too"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fakeSpec(t, "fake", "ok")
			c.change(&spec)
			if _, err := start(t, spec); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSweepSparesOthers(t *testing.T) {
	own := fmt.Sprintf("%d 1", os.Getpid()) // this process, had it started at another time
	if err := (Driver{}).Sweep([]string{own, "0 ", "-1 ", "x", ""}, 0); err != nil {
		t.Error(err)
	}
	if startOf(os.Getpid()) == "" || startOf(1<<30) != "" {
		t.Error("the start of a process")
	}
}

func TestCards(t *testing.T) {
	spec := fakeSpec(t, "fake", "ok")
	spec.Definition.Network = []machine.Network{{Match: "en*", DHCP: true}}
	spec.Definition.VM.NICs = []machine.NIC{{MAC: "52:54:00:12:34:56"}, {Model: "e1000e"}}
	m, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	var cfg wire.Config
	if err := json.Unmarshal([]byte(ask(t, m, "config")), &cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.Network) != 0 {
		t.Errorf("the helper sets up what DHCP does: %+v", cfg.Network)
	}
	args := ask(t, m, "args")
	if !strings.Contains(args, "mac=52:54:00:12:34:56") || !strings.Contains(args, "e1000e") {
		t.Errorf("the cards: %s", args)
	}
}
