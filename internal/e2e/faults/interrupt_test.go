package faults

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// rounds is how often something is tried: fewer in the default tier.
func rounds(n int) int {
	if os.Getenv("SLIPWAY_TIER") == "" {
		return n / 2
	}
	return n
}

type random struct{ *rand.Rand }

// newRandom gives the same moments every time, or those of SLIPWAY_SEED.
func newRandom(t *testing.T) random {
	seed := uint64(20250803)
	if n, err := strconv.ParseUint(os.Getenv("SLIPWAY_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed %d", seed)
	return random{rand.New(rand.NewPCG(seed, 0))}
}

func (r random) moment(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }

// interrupt starts a command and sends it a signal after a while.
func (r *rig) interrupt(after time.Duration, signal os.Signal, args ...string) kit.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := r.Command(ctx, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	time.AfterFunc(after, func() { cmd.Process.Signal(signal) })
	cmd.Wait()
	got := kit.Result{Status: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String(), Took: time.Since(begin)}
	if ctx.Err() != nil {
		r.t.Fatalf("%v did not end after %v\n%s", args, signal, got.Text())
	}
	if strings.Contains(got.Stderr, "panic:") {
		r.t.Errorf("%v crashed when it got %v:\n%s", args, signal, got.Stderr)
	}
	return got
}

// gone wants every process of the world to end within a moment.
func (r *rig) gone(what string) {
	r.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		pids := r.Processes()
		if len(pids) == 0 {
			return
		}
		if time.Now().After(end) {
			for _, pid := range pids {
				r.t.Errorf("left %s: process %d %s", what, pid, kit.Cmdline(pid))
			}
			return
		}
	}
}

// same compares what the store has with what another store has.
func (r *rig) same(other string) {
	r.t.Helper()
	here := filepath.Join(r.Dir, "here.tar")
	there := filepath.Join(r.Dir, "there.tar")
	r.Must("build", r.file, "-o", here)
	r.Must("build", r.file, "-o", there, "--store", filepath.Join(r.Dir, other))
	a, err := os.ReadFile(here)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(there)
	if err != nil {
		r.t.Fatal(err)
	}
	if string(a) != string(b) {
		r.t.Error("after interruptions the tree has other bytes")
	}
}
