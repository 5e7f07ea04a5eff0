package mkfs

import (
	"context"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb"
	"slipway/internal/e2e/kit"
	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
	"slipway/internal/tree"
)

// This program is what runs in the machines of its own tests.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// liveStore names a store that keeps the tools between runs.
const liveStore = "SLIPWAY_TEST_STORE"

// liveMaker makes volumes in machines, or the test is skipped.
func liveMaker(t *testing.T) *Maker {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the kernel of this test is for amd64")
	}
	dir := os.Getenv(liveStore)
	if dir == "" {
		t.Skipf("needs the tools mkfs and qemu: name a store that keeps them with %s", liveStore)
	}
	if f, err := elf.Open("/proc/self/exe"); err != nil {
		t.Fatal(err)
	} else if interpreter(f) != "" {
		t.Skip("this test program needs libraries, which its machines do not have: test with CGO_ENABLED=0")
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	all := tools.Open(t.Context(), tools.Deps{Store: s, Family: deb.New(s)})
	kit.LockQEMU(t)
	accel, err := qemu.Accelerator(t.Context(), all, "amd64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	emulated := *accel // which is the same everywhere
	emulated.Name = "tcg"
	return New(Deps{Tools: all, TempDir: s.TempDir, Accel: &emulated})
}

func TestLive(t *testing.T) {
	for _, c := range []struct {
		fs    string
		trees []imagetest.Tree
		opt   image.VolumeOptions
	}{
		{"btrfs", nil, image.VolumeOptions{Label: "system", UUID: [16]byte{1, 15: 2}, Subvolumes: []string{"/usr", "/srv/www"}}},
		{"xfs", nil, image.VolumeOptions{Label: "system", UUID: [16]byte{1, 15: 2}}},
		{"xfs", nil, image.VolumeOptions{Sector: 4096}},
	} {
		t.Run(c.fs, func(t *testing.T) {
			m := liveMaker(t)
			tr := imagetest.Trees()[0]
			before := time.Now()
			v, err := m.Plan(t.Context(), c.fs, tr.Manifest, tr.Content, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "volume")
			if _, err := image.WriteFile(name, false, func(w io.Writer) error { return v.Write(t.Context(), w) }); err != nil {
				t.Fatal(err)
			}
			t.Logf("made in %v", time.Since(before))
			judge(t, c.fs, name)
		})
	}
}

var _ = errors.New
var _ = strings.Contains
var _ = tree.File
var _ = context.Canceled

func judge(t *testing.T, fs, name string) {
	t.Helper()
	args := map[string][]string{"btrfs": {"btrfs", "check", "--check-data-csum", name}, "xfs": {"xfs_repair", "-n", "-f", name}}[fs]
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("there is no %s here", args[0])
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}
