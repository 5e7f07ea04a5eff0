package boot

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// TestBootSnapshot takes a machine back in its files and in its memory. By hand
// the same holds under UEFI, whose variables are part of a snapshot.
func TestBootSnapshot(t *testing.T) { snapshots(t, need(t), "vm") }

func snapshots(t *testing.T, w *kit.World, target string) {
	w.Must("up", filepath.Join(kit.Root(), "gallery/hello.yaml"), "--on", target)
	defer w.Must("down", "hello")
	inside := func(script string) string {
		t.Helper()
		return strings.TrimSpace(w.Must("shell", "hello", "sh", "-c", script).Stdout)
	}
	// /run lies in memory, /root on the disk.
	inside("echo before >/run/memory; echo before >/root/disk; sync")
	r := w.Must("snapshot", "hello", "create", "first")
	t.Logf("create took %s", r.Took)
	if r := w.Run("snapshot", "hello", "create", "first"); r.Status != 1 || !strings.Contains(r.Stderr, `"first" already`) {
		t.Errorf("the same tag twice: %s", r.Text())
	}
	boot := inside("cat /proc/sys/kernel/random/boot_id")
	inside("echo after >/run/memory; echo after >/root/disk; echo new >/root/new; sync; sleep 600 >/dev/null 2>&1 &")
	for range 2 { // what was taken back once can be so again
		r = w.Must("snapshot", "hello", "restore", "first")
		t.Logf("restore took %s", r.Took)
		if got := inside("cat /run/memory /root/disk; ls /root/new 2>/dev/null; pidof sleep; true"); got != "before\nbefore" {
			t.Errorf("taken back it has %q", got)
		}
		inside("echo after >/root/disk; echo new >/root/new; sync")
	}
	if got := inside("cat /proc/sys/kernel/random/boot_id"); got != boot {
		t.Error("it was started again")
	}
	var list []struct {
		Tag    string
		Memory int64
	}
	if err := json.Unmarshal([]byte(w.Must("snapshot", "hello", "--json").Stdout), &list); err != nil || len(list) != 1 || list[0].Tag != "first" || list[0].Memory < 1<<20 {
		t.Errorf("the list: %+v, %v", list, err)
	}
	if r := w.Run("snapshot", "hello", "restore", "second"); r.Status != 1 || !strings.Contains(r.Stderr, `no snapshot "second"`) {
		t.Errorf("a tag that is not there: %s", r.Text())
	}
	if got := inside("cat /root/disk"); got != "after" {
		t.Errorf("a refused restore changed the disk: %q", got)
	}
	w.Run("shell", "hello", "systemctl", "reboot") // another QEMU, which meets an older self of the agent
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(2 * time.Second) {
		if r := w.Run("shell", "hello", "cat", "/proc/sys/kernel/random/boot_id"); r.Status == 0 && strings.TrimSpace(r.Stdout) != boot {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it did not start again")
		}
	}
	awaitUp(t, w)
	w.Must("snapshot", "hello", "restore", "first")
	if got := inside("cat /proc/sys/kernel/random/boot_id /root/disk"); got != boot+"\nbefore" {
		t.Errorf("taken back over a restart it has %q", got)
	}
	w.Must("snapshot", "hello", "delete", "first")
	if got := w.Must("snapshot", "hello").Stdout; strings.Contains(got, "first") {
		t.Errorf("deleted and listed: %s", got)
	}
}

// awaitUp waits until snapshots can be asked for: its init has reached its goal.
func awaitUp(t *testing.T, w *kit.World) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); w.Run("snapshot", "hello").Status != 0; time.Sleep(2 * time.Second) {
		if time.Now().After(end) {
			t.Fatalf("it is not up: %s", w.Run("snapshot", "hello").Text())
		}
	}
}
