package run

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// start brings a toy machine up in a world of its own. When the test ends it
// is taken down, and nothing of it may be left on the host.
func start(t *testing.T, more string) (*kit.World, string) {
	t.Helper()
	kit.NeedMachines(t)
	toy := kit.NewToy(t)
	w := kit.NewWorld(t)
	before := w.Host(t)
	file := kit.Write(t, w.Dir, "toy.yaml", toy.Machine("toy", more))
	w.Up(t, file)
	t.Cleanup(func() {
		w.Run("down", "--all")
		if left := w.Settled(t, before); len(left) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
	})
	return w, file
}

// inside runs a shell line in the machine and gives its output.
func inside(t *testing.T, w *kit.World, line string) string {
	t.Helper()
	return strings.TrimSpace(w.Must("shell", "toy", "sh", "-c", line).Stdout)
}

// machine is what ls --json prints.
type machine struct {
	Name, State string
	PID         int
	Ports       []string
}

func list(t *testing.T, w *kit.World) []machine {
	t.Helper()
	var out []machine
	if err := json.Unmarshal([]byte(w.Must("ls", "--json").Stdout), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits for something that takes a moment.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("after 30 seconds: %s", what)
}

func TestPipedUpEnds(t *testing.T) {
	w, file := start(t, "")
	w.Must("down", "toy")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	up := w.Command(ctx, "up", file)
	cmd := exec.CommandContext(ctx, "sh", "-c", `"$@" 2>&1 | cat`, "sh", up.Path, "up", file)
	cmd.Env, cmd.Dir = up.Env, up.Dir
	if r := w.Finish(cmd); r.Status != 0 || !strings.Contains(r.Stdout, "toy on container") {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	if got := inside(t, w, "echo there"); got != "there" {
		t.Error("the machine did not outlive the pipe")
	}
}

func TestOutlivesItsBinary(t *testing.T) {
	w, file := start(t, "restart: on-failure\n")
	w.Must("down", "toy")
	copied := filepath.Join(w.Dir, "copy")
	data, err := os.ReadFile(kit.Binary(t))
	if err == nil {
		err = os.WriteFile(copied, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.Command(context.Background(), "up", file)
	cmd.Path, cmd.Args[0] = copied, copied
	if r := w.Finish(cmd); r.Status != 0 {
		t.Fatal(r.Text())
	}
	os.Remove(copied)
	inside(t, w, "touch /root/mark")
	w.Must("reset", "toy") // starts it anew, from the program that is gone
	if got := inside(t, w, "ls /root"); strings.Contains(got, "mark") {
		t.Error("reset kept what was written")
	}
}

// The supervisor's death takes the machine with it, and the next command
// clears up.
func TestKilledSupervisor(t *testing.T) {
	w, file := start(t, "")
	for _, next := range [][]string{{"up", file}, {"down", "toy"}, {"ls"}} {
		w.Up(t, file)
		init := list(t, w)[0].PID
		kill(t, supervisor(t, w))
		r := w.Run(next...)
		if next[0] != "down" && r.Status != 0 {
			t.Errorf("%v after a kill: exit status %d\n%s", next, r.Status, r.Text())
		}
		if next[0] == "ls" && strings.Contains(r.Stdout, " up ") {
			t.Errorf("ls shows a machine that is gone as up:\n%s", r.Stdout)
		}
		eventually(t, "its init is still there", func() bool { return syscall.Kill(init, 0) == syscall.ESRCH })
	}
	w.Up(t, file)
	if got := inside(t, w, "echo again"); got != "again" {
		t.Errorf("the machine says %q", got)
	}
}

// supervisor is the pid of the machine's supervisor: the parent of its init.
func supervisor(t *testing.T, w *kit.World) int {
	t.Helper()
	pid := list(t, w)[0].PID
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	parent, _ := strconv.Atoi(fields[1])
	if line := kit.Cmdline(parent); !strings.Contains(line, "slipway") {
		t.Fatalf("the parent of the machine's init is %d %q", parent, line)
	}
	return parent
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is still there", func() bool { return syscall.Kill(pid, 0) != nil })
}

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy, signal string
		up             bool
		reason         string
	}{
		{"never", "USR2", false, "exit status 7"},
		{"on-failure", "USR2", true, ""},
		{"on-failure", "USR1", false, "powered itself off"},
		{"always", "USR1", true, ""},
	} {
		t.Run(c.policy+" "+c.signal, func(t *testing.T) {
			w, _ := start(t, "restart: "+c.policy+"\n")
			before := list(t, w)[0].PID
			w.Run("shell", "toy", "kill", "-"+c.signal, "1")
			eventually(t, "nothing happened", func() bool {
				m := list(t, w)[0]
				return c.up && m.State == "up" && m.PID != before || !c.up && (m.State == "failed" || m.State == "stopped")
			})
			if c.up {
				inside(t, w, ":")
				if out := w.Must("inspect", "toy").Stdout; !strings.Contains(out, "restarts    1") {
					t.Errorf("inspect does not count the start:\n%s", out)
				}
			} else if out := w.Must("inspect", "toy").Stdout; !strings.Contains(out, c.reason) {
				t.Errorf("inspect does not say %q:\n%s", c.reason, out)
			}
		})
	}
}

func TestReaping(t *testing.T) {
	w, _ := start(t, "")
	for range 10 {
		inside(t, w, "sleep 0.1 & exit 0")
	}
	zombies := func() (n int) {
		text := inside(t, w, "cat /proc/[0-9]*/stat 2>/dev/null || true")
		for line := range strings.Lines(text) {
			if strings.Contains(line, ") Z ") {
				n++
			}
		}
		return n
	}
	eventually(t, "zombies are left", func() bool { return zombies() == 0 })
}

// The machine is as it was built after a reset: every path outside of what the
// kernel and the start provide.
func TestResetIsTheBuiltTree(t *testing.T) {
	w, _ := start(t, "packages: [toy]\nstate: [/var/lib/kept]\n")
	const look = `cd /; ls -lAR --time-style=full-iso bin/ sbin/ etc home opt root srv usr var 2>/dev/null | grep -Ev ' (hostname|hosts|resolv.conf|kept|lib)$' | sort`
	first := inside(t, w, look)
	inside(t, w, "echo x > /etc/new; rm /usr/share/toy/hello; chmod 700 /etc/toy.conf; echo kept > /var/lib/kept/file")
	if inside(t, w, look) == first {
		t.Fatal("the comparison sees no change")
	}
	w.Must("reset", "toy")
	if got := inside(t, w, "cat /var/lib/kept/file; rm /var/lib/kept/file"); got != "kept" {
		t.Errorf("state: lost what was written: %q", got)
	}
	second := inside(t, w, look)
	if first != second {
		t.Errorf("after the reset:\n%s", difference(first, second))
	}
}

func difference(a, b string) string {
	in := func(text string) map[string]bool {
		m := map[string]bool{}
		for _, l := range strings.Split(text, "\n") {
			m[l] = true
		}
		return m
	}
	var out []string
	for l := range in(a) {
		if !in(b)[l] {
			out = append(out, "- "+l)
		}
	}
	for l := range in(b) {
		if !in(a)[l] {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

func TestTwoUpsAtOnce(t *testing.T) {
	w, file := start(t, "packages: [toy]\n")
	w.Must("down", "toy")
	var wg sync.WaitGroup
	var results [3]kit.Result
	for i := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i] = w.Run("up", file)
		}()
	}
	wg.Wait()
	good := 0
	for _, r := range results {
		if r.Status == 0 {
			good++
		}
	}
	if machines := list(t, w); good == 0 || len(machines) != 1 || machines[0].State != "up" {
		t.Fatalf("%d of 3 succeeded, machines %+v\n%s%s%s", good, machines, results[0].Text(), results[1].Text(), results[2].Text())
	}
	inside(t, w, ":")
}
