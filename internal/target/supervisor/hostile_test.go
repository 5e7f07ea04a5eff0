package supervisor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/guest/wire"
)

// liar is a machine whose answers are made up.
func liar(t *testing.T, answer func(wire.Request) wire.Reply) *Machine {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wire.Server(conn, func(st *wire.Stream) {
				if st.Request.Op == "read" {
					st.SendData(wire.Output, []byte("evil"))
				}
				st.Finish(answer(st.Request))
			})
		}
	}()
	return &Machine{Record: Record{Name: "liar"}, dir: dir}
}

func TestCopyOutStaysInTheTarget(t *testing.T) {
	for name, entries := range map[string]func(victim string) []wire.Stat{
		"link, then folder": func(victim string) []wire.Stat {
			return []wire.Stat{{Name: "x", Type: "symlink", Target: victim}, {Name: "x", Type: "dir", Mode: 0o755}}
		},
		"upwards": func(string) []wire.Stat { return []wire.Stat{{Name: "../victim", Type: "dir", Mode: 0o755}} },
		"parent":  func(string) []wire.Stat { return []wire.Stat{{Name: "..", Type: "dir", Mode: 0o755}} },
		"slash":   func(string) []wire.Stat { return []wire.Stat{{Name: "/", Type: "dir", Mode: 0o755}} },
		"nothing": func(string) []wire.Stat { return []wire.Stat{{Type: "dir", Mode: 0o755}} },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			victim := filepath.Join(top, "victim")
			if err := os.Mkdir(victim, 0o755); err != nil {
				t.Fatal(err)
			}
			m := liar(t, func(r wire.Request) wire.Reply {
				switch {
				case r.Op == "stat":
					return wire.Reply{Stat: &wire.Stat{Name: "a", Type: "dir", Mode: 0o755}}
				case r.Op == "list" && r.Path == "/a":
					return wire.Reply{Entries: entries(victim)}
				case r.Op == "list":
					return wire.Reply{Entries: []wire.Stat{{Name: "planted", Type: "file", Mode: 0o644}}}
				}
				return wire.Reply{}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := m.CopyOut(ctx, "/a", filepath.Join(top, "to")); err == nil {
				t.Error("the lie was believed")
			}
			if names, _ := os.ReadDir(victim); len(names) > 0 {
				t.Errorf("written outside of the target: %v", names)
			}
		})
	}
}

// deafRun is a run without an agent.
type deafRun struct{ Run }

func (deafRun) PowerOff() error { return nil }

// An agent that reads nothing any more must not keep a machine from ending.
func TestPowerOfSilentAgent(t *testing.T) {
	ours, theirs := net.Pipe() // a write waits until somebody reads
	defer theirs.Close()
	r := &incarnation{Run: deafRun{}, session: wire.Client(ours, nil)}
	done := make(chan error, 1)
	go func() { done <- r.power("poweroff") }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the request to power off never ends")
	}
}

func TestForeignRuntime(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's folder")
	}
	runtime := t.TempDir()
	dir := machineDir(runtime, "bait")
	kept := filepath.Join(t.TempDir(), "kept")
	for _, d := range []string{dir, kept} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rec := full{Record: Record{Name: "bait", State: Running}, Spec: Spec{RunDir: kept}}
	if err := rec.write(dir, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(runtime, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(t.Context(), runtime); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("Repair: %v", err)
	}
	if _, err := List(runtime); err == nil {
		t.Error("List trusts another user's records")
	}
	if _, err := Find(runtime, "bait"); err == nil {
		t.Error("Find trusts another user's records")
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a folder that a foreign record names is gone: %v", err)
	}
}

func TestStatusText(t *testing.T) {
	if got := statusText("\x1b]0;evil\x07Starting…\n" + strings.Repeat("x", 1000)); got != "]0;evilStarting…"+strings.Repeat("x", 184) {
		t.Errorf("got %q", got)
	}
}
