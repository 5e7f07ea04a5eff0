package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

// waitUp waits until the machine has been started again.
func waitUp(t *testing.T, spec supervisor.Spec) *supervisor.Machine {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		m, err := supervisor.Find(spec.Runtime, spec.Name)
		if err == nil && m.State == supervisor.Running && m.Restarts > 0 && m.Ping(context.Background()) == nil {
			return settle(t, m)
		}
	}
	t.Fatal("the machine did not come back")
	return nil
}

func waitState(t *testing.T, spec supervisor.Spec, want supervisor.State) *supervisor.Machine {
	t.Helper()
	var last *supervisor.Machine
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		m, err := supervisor.Find(spec.Runtime, spec.Name)
		if err == nil && m.State == want {
			return m
		}
		last = m
	}
	t.Fatalf("want state %s, have %+v", want, last)
	return nil
}

func TestTwiceAndDown(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	if _, err := supervisor.Up(context.Background(), spec, nil); !errors.Is(err, supervisor.ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	if err := supervisor.DownAll(context.Background(), spec.Runtime); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, spec, m)
	var missing *supervisor.NotFoundError
	if _, err := supervisor.Find(spec.Runtime, "tiny"); !errors.As(err, &missing) {
		t.Errorf("after the end: %v", err)
	}
}

func nothingLeft(t *testing.T, spec supervisor.Spec, m *supervisor.Machine) {
	t.Helper()
	if err := unix.Kill(m.PID, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("init %d is still there: %v", m.PID, err)
	}
	for _, dir := range append([]string{spec.RunDir, recordDir(spec)}, m.Traces...) {
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), spec.RunDir) {
		t.Error("a mount is left on the host")
	}
}

func TestRestartPolicy(t *testing.T) {
	spec := tinySpec(t, "tiny")
	spec.Definition.Restart = "on-failure"
	m := up(t, spec)
	m.Run(context.Background(), "/bin/tool", "kill", "10") // SIGUSR1: exit 9
	m = waitUp(t, spec)
	if m.Restarts != 1 {
		t.Errorf("%d restarts, want 1", m.Restarts)
	}
	m.Run(context.Background(), "/bin/tool", "kill", "15") // powers itself off
	m = waitState(t, spec, supervisor.Stopped)
	if m.Reason != "it powered itself off" {
		t.Errorf("reason: %q", m.Reason)
	}
}

func TestReboot(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	tool(t, m, "write", "/root/over", "a reboot")
	m.Run(context.Background(), "/bin/tool", "kill", "1")
	m = waitUp(t, spec)
	if got := tool(t, m, "cat", "/root/over"); got != "a reboot" {
		t.Errorf("after a reboot: %q", got)
	}
}

func TestFailureIsTold(t *testing.T) {
	spec := tinySpec(t, "tiny")
	spec.Definition.Init = "/no/such/init"
	_, err := supervisor.Up(context.Background(), spec, nil)
	if err == nil || !strings.Contains(err.Error(), "starting init /no/such/init: no such file") {
		t.Errorf("a missing init: %v", err)
	}
	if _, err := os.Stat(recordDir(spec)); err == nil {
		t.Error("a failed start leaves a record")
	}
	spec.Definition.Init = "none"
	os.MkdirAll(filepath.Join(t.TempDir(), "x"), 0o755)
	spec.Definition.Container.Devices = []string{"/dev/no-such-device"}
	if _, err := supervisor.Up(context.Background(), spec, nil); err == nil || !strings.Contains(err.Error(), "no device /dev/no-such-device") {
		t.Errorf("a missing device: %v", err)
	}
}

func TestInitFails(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	m.Run(context.Background(), "/bin/tool", "kill", "10")
	m = waitState(t, spec, supervisor.Failed)
	if m.Reason != "its init ended: exit status 9" {
		t.Errorf("reason: %q", m.Reason)
	}
}

// TestKilledSupervisor is the promise that a killed supervisor leaves nothing
// that the next command does not repair.
func TestKilledSupervisor(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	if err := unix.Kill(m.Supervisor, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitState(t, spec, supervisor.Failed)
	names, err := supervisor.Repair(context.Background(), spec.Runtime)
	if err != nil || len(names) != 1 {
		t.Fatalf("repaired %v, %v", names, err)
	}
	for end := time.Now().Add(10 * time.Second); unix.Kill(m.PID, 0) == nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, spec, m)
	again := up(t, spec)
	tool(t, again, "echo", "works")
}

func TestStreamEndsMachine(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	if err := unix.Kill(m.Supervisor, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if unix.Kill(m.PID, 0) != nil {
			return
		}
	}
	t.Error("the machine outlives its supervisor")
}

func TestLimits(t *testing.T) {
	spec := tinySpec(t, "tiny")
	spec.Definition.Container.Limits = machine.Limits{Memory: 96 << 20, Tasks: 64, CPUs: 0.5}
	var notes string
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := supervisor.Up(ctx, spec, func(p supervisor.Progress) { notes += p.Text })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Down(context.Background()) })
	if notes != "" {
		t.Skipf("limits cannot be set here: %s", notes)
	}
	out, _, exit, err := m.Run(ctx, "/bin/tool", "eat")
	if err != nil || exit != 137 {
		t.Errorf("256 MiB under a limit of 96: exit %d, %q, %v", exit, out, err)
	}
	tool(t, m, "echo", "alive")
	if u, err := m.Usage(ctx); err != nil || u.Memory == 0 || u.Memory > 96<<20 {
		t.Errorf("memory: %+v %v", u, err)
	}
}

func TestWith(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	sh, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash, whose /dev/tcp this test uses")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exit, err := m.With(context.Background(), []string{sh, "-c", "cat </dev/tcp/tiny/80; id -u; exit 5"}, [3]*os.File{nil, w, os.Stderr})
	w.Close()
	out, _ := io.ReadAll(r)
	if want := fmt.Sprintf("afloat\n%d\n", os.Getuid()); err != nil || exit != 5 || string(out) != want {
		t.Errorf("exit %d, %q, %v", exit, out, err)
	}
	left, _ := filepath.Glob(filepath.Join(spec.Runtime, "with-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
