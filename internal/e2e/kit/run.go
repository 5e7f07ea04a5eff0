package kit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// World is a store, a runtime folder and the program: what a test runs
// slipway with.
type World struct {
	Store   string
	Runtime string
	Dir     string   // working folder
	Env     []string // in addition
	binary  string
	t       testing.TB
}

// NewWorld makes a world with a store of its own in the test's folder.
func NewWorld(t testing.TB) *World {
	t.Helper()
	w := &World{binary: Binary(t), Dir: TempDir(t), t: t}
	w.Store, w.Runtime = filepath.Join(w.Dir, "store"), filepath.Join(w.Dir, "run")
	t.Cleanup(w.end)
	return w
}

// SharedWorld is a world with a store that outlives the tests.
func SharedWorld(t testing.TB) *World {
	t.Helper()
	w := NewWorld(t)
	w.Store = filepath.Join(CacheDir(t), "store")
	return w
}

// TempDir is like t.TempDir, for folders that machines write to as other
// users: those can enter it, and it is removed whoever owns what is inside.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "t")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := RemoveAll(dir); err != nil {
			t.Errorf("removing the test's folder: %v", err)
		}
	})
	return dir
}

// end takes down what the test left running.
func (w *World) end() {
	if _, err := os.Stat(w.Runtime); err == nil {
		w.Run("down", "--all")
	}
}

// Result is how a command ended.
type Result struct {
	Status         int
	Stdout, Stderr string
	Took           time.Duration
}

// Text is everything that was printed.
func (r Result) Text() string { return r.Stdout + r.Stderr }

// commandDeadline bounds every command of a test.
const commandDeadline = 8 * time.Minute

// Command prepares slipway with arguments.
func (w *World) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.binary, args...)
	cmd.Dir = w.Dir
	cmd.Env = append(environ(), "SLIPWAY_STORE="+w.Store, "SLIPWAY_RUNTIME="+w.Runtime, "NO_COLOR=1")
	cmd.Env = append(cmd.Env, w.Env...)
	return cmd
}

// Run runs slipway and gives what came of it.
func (w *World) Run(args ...string) Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	cmd := w.Command(ctx, args...)
	return w.Finish(cmd)
}

// Finish runs a prepared command.
func (w *World) Finish(cmd *exec.Cmd) Result {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Took: time.Since(begin)}
	if cmd.ProcessState == nil {
		w.t.Fatalf("running %q: %v", cmd.Args, err)
	}
	r.Status = cmd.ProcessState.ExitCode()
	return r
}

// Must is Run that has to succeed.
func (w *World) Must(args ...string) Result {
	w.t.Helper()
	r := w.Run(args...)
	if r.Status != 0 {
		w.t.Fatalf("slipway %q: exit status %d\n%s", args, r.Status, r.Text())
	}
	return r
}

// SkipUnstarted skips the test, with slipway's own words, where the host lets
// this user build but not start.
func SkipUnstarted(t testing.TB, r Result) {
	t.Helper()
	if r.Status == exitFailed && os.Geteuid() != 0 && strings.Contains(r.Stderr, "cgroup") {
		t.Skipf("this user cannot start machines here: %s", strings.TrimSpace(r.Stderr))
	}
}

// Up brings a machine up. Where the host lets this user build but not start,
// the test is skipped with slipway's own words.
func (w *World) Up(t testing.TB, file string) Result {
	t.Helper()
	r := w.Run("up", file)
	SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("slipway up %s: exit status %d\n%s", file, r.Status, r.Text())
	}
	return r
}

const exitFailed = 1
