// Package boot proves machines on every target that has a kernel of its own.
package boot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// need is what each test here stands on.
func need(t *testing.T) *kit.World {
	t.Helper()
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	return kit.SharedWorld(t)
}

// proof is what test --report writes.
type proof struct {
	Machine string
	Targets []struct {
		Name    string
		OK      bool
		Seconds float64
		Reason  string
		Stages  []result
		Probes  []result
	}
}

type result struct {
	Name    string
	OK      bool
	Seconds float64
	Reason  string
}

// prove runs a definition on targets and gives the report.
func prove(t *testing.T, w *kit.World, file, on string, more ...string) proof {
	t.Helper()
	report := filepath.Join(w.Dir, "proof.json")
	r := w.Run(append([]string{"test", file, "--on", on, "--report", report}, more...)...)
	kit.SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Logf("took %s\n%s", r.Took, r.Stdout)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var p proof
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	for _, target := range p.Targets {
		if !target.OK || len(target.Probes) == 0 {
			t.Errorf("%s is not proved: %+v", target.Name, target)
		}
	}
	return p
}

// TestBootMatrix is the promise of the product: one definition, five ways.
func TestBootMatrix(t *testing.T) {
	for _, release := range []string{"trixie", "bookworm"} {
		t.Run(release, func(t *testing.T) {
			w := need(t)
			before := w.Host(t)
			p := prove(t, w, filepath.Join(kit.Root(), "gallery/hello.yaml"), "container,vm,uefi,bios,ram",
				"--set", "system=debian/"+release)
			if len(p.Targets) != 5 {
				t.Fatalf("%d targets in the report", len(p.Targets))
			}
			for _, target := range p.Targets {
				wantStages(t, target.Name, target.Stages)
			}
			if left := w.Settled(t, before); len(left) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
			}
		})
	}
}

// wantStages demands that a target names its way up, each stage with a time.
func wantStages(t *testing.T, target string, stages []result) {
	t.Helper()
	want := map[string][]string{
		"container": {"init", "service"},
		"vm":        {"kernel", "init", "service"},
		"ram":       {"kernel", "init", "service"},
		"uefi":      {"firmware", "loader", "kernel", "init", "service"},
		"bios":      {"firmware", "loader", "kernel", "init", "service"},
	}[target]
	have := map[string]result{}
	for _, s := range stages {
		have[s.Name] = s
	}
	for _, name := range want {
		if s, ok := have[name]; !ok || !s.OK || s.Seconds < 0 {
			t.Errorf("%s: stage %s: %+v (there: %t)", target, name, s, ok)
		}
	}
}

// TestBootImagesOutsideTheStore builds each kind of image that boots with
// nobody's help, and has the judges read it.
func TestBootFormats(t *testing.T) {
	w := need(t)
	hello := filepath.Join(kit.Root(), "gallery/hello.yaml")
	for _, suffix := range []string{".raw", ".qcow2", ".ext4", ".efi", ".squashfs", ".erofs", ".cpio.zst", ".oci.tar"} {
		out := filepath.Join(w.Dir, "hello"+suffix)
		r := w.Must("build", hello, "-o", out)
		for _, beside := range []string{"", ".sha256", ".spdx.json"} {
			if st, err := os.Stat(out + beside); err != nil || st.Size() == 0 {
				t.Errorf("%s%s: %v", suffix, beside, err)
			}
		}
		t.Logf("%s took %s", suffix, r.Took)
		judge(t, suffix, out)
	}
}
