package tools

import (
	"os"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb"
	"slipway/internal/progress"
	"slipway/internal/store"
)

// liveStore is a store that keeps tools between runs; without it the test
// would fetch them each time.
const liveStore = "SLIPWAY_TEST_STORE"

// TestLiveTree makes the tree of QEMU from the real archive and starts it.
func TestLiveTree(t *testing.T) {
	dir := os.Getenv(liveStore)
	if dir == "" {
		t.Skipf("%s names no store to keep the real tools in", liveStore)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tools := Open(t.Context(), Deps{Store: s, Family: deb.New(s), OnlyTree: true, Progress: progress.New(os.Stderr, progress.Plain, false)})
	before := time.Now()
	out := run(t, tools, "qemu", "qemu-system-x86_64", "-version")
	t.Logf("first: %v", time.Since(before))
	if !strings.Contains(out, "version 10.") {
		t.Errorf("QEMU says %q", out)
	}
	for _, name := range Sets[0].Needs {
		if _, err := tools.Path(t.Context(), "qemu", name); err != nil {
			t.Error(err)
		}
	}
	before = time.Now()
	again := Open(t.Context(), Deps{Store: s, OnlyTree: true, Offline: true})
	if err := again.Ensure(t.Context(), "qemu"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took > 50*time.Millisecond {
		t.Errorf("finding the tree again took %v", took)
	}
	t.Logf("again: %v", time.Since(before))
}

func run(t *testing.T, tools *Tools, set, program string, args ...string) string {
	t.Helper()
	cmd, err := tools.Command(t.Context(), set, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// TestLiveSets makes every other set and starts its program.
func TestLiveSets(t *testing.T) {
	dir := os.Getenv(liveStore)
	if dir == "" {
		t.Skipf("%s names no store to keep the real tools in", liveStore)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tools := Open(t.Context(), Deps{Store: s, Family: deb.New(s), OnlyTree: true})
	for _, set := range Sets[1:] {
		t.Run(set.Name, func(t *testing.T) {
			before := time.Now()
			out := ""
			if set.Program != "" {
				out = run(t, tools, set.Name, set.Program, "--version")
			} else if err := tools.Ensure(t.Context(), set.Name); err != nil {
				t.Fatal(err)
			}
			place, err := tools.Where(t.Context(), set.Name, false)
			if err != nil || place.Tree == "" || place.Packages == 0 {
				t.Errorf("Where: %+v, %v", place, err)
			}
			first, _, _ := strings.Cut(out, "\n")
			t.Logf("%v, %d packages: %s", time.Since(before), place.Packages, first)
			for _, name := range set.Needs {
				if _, err := tools.Path(t.Context(), set.Name, name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
