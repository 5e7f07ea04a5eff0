// Package gallery proves every recipe of the gallery.
package gallery

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

func recipes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(kit.Root(), "gallery/*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("the gallery has only %v (%v)", files, err)
	}
	return files
}

// Every recipe is well formed; this needs nothing.
func TestRecipesAreWellFormed(t *testing.T) {
	w := kit.NewWorld(t)
	for _, file := range recipes(t) {
		w.Must("check", "--structure", file)
	}
}

// targets says where a recipe is proved; without an entry in a container.
// hello is proved everywhere by package boot, the two that share a folder and
// Alpine's by tests of their own.
var targets = map[string]string{
	"hello-arm64":   "uefi",
	"board-uboot":   "uboot",
	"squashfs-root": "bios",
	"ram-system":    "ram",
	"netboot-node":  "netboot",
	"uki":           "uefi",
	"systemd-boot":  "uefi",
	"serial-btrfs":  "bios",
	"btrfs-ssh":     "uefi",
	"bare-guest":    "vm",
	"unikernel":     "ram",
	"alpine-hello":  "",
	"alpine-ssh":    "",
	"share-one":     "",
	"share-two":     "",
}

func TestGallery(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	for _, file := range recipes(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		on, ok := targets[name]
		switch {
		case !ok:
			t.Run(name, func(t *testing.T) { prove(t, file, "container") })
		case on != "":
			t.Run(name, func(t *testing.T) {
				kit.LockQEMU(t)
				prove(t, file, on, extras(t, name)...)
			})
		}
	}
}

func prove(t *testing.T, file, on string, more ...string) {
	w := kit.SharedWorld(t)
	w.Env = append(w.Env, "BOARD_PASSWORD=afloat") // of gallery/board/ops.hash
	before := w.Host(t)
	report := filepath.Join(w.Dir, "proof.json")
	r := w.Run(append([]string{"test", file, "--on", on, "--report", report, "--junit", filepath.Join(w.Dir, "proof.xml")}, more...)...)
	kit.SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Logf("took %s\n%s", r.Took, r.Stdout)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var proof struct {
		Targets []struct {
			OK     bool
			Probes []struct{ OK bool }
		}
	}
	if err := json.Unmarshal(data, &proof); err != nil {
		t.Fatal(err)
	}
	if want := strings.Count(on, ",") + 1; len(proof.Targets) != want {
		t.Errorf("the report has %d targets, want %d: %s", len(proof.Targets), want, data)
	}
	for _, target := range proof.Targets {
		if !target.OK || len(target.Probes) == 0 {
			t.Errorf("the report does not prove it: %s", data)
		}
	}
	if left := w.Settled(t, before); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// TestGalleryDatabaseKeepsItsData: rows survive a rebuild of the machine, and
// the server finds them under the ids of the new tree.
func TestGalleryDatabaseKeepsItsData(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	w := kit.SharedWorld(t)
	name := "database-e2e"
	args := []string{"up", filepath.Join(kit.Root(), "gallery/database.yaml"), "--set", "name=" + name}
	forget := func() { kit.RemoveAll(filepath.Join(w.Store, "state", name)) }
	forget() // of a run that was cut short
	t.Cleanup(forget)
	r := w.Run(args...)
	kit.SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	w.Must("shell", name, "mariadb", "-e", "create database ship; create table ship.log (line text); insert into ship.log values ('afloat')")
	r = w.Must(append(args, "--set", "packages=[mariadb-server, less]", "--set", `files=[{path: /etc/motd, content: "rebuilt\n"}]`)...)
	if !strings.Contains(r.Stderr, "restarts: ") {
		t.Errorf("the rebuilt machine did not take the old one's place:\n%s", r.Text())
	}
	if out := w.Must("shell", name, "mariadb", "-N", "-e", "select line from ship.log").Stdout; out != "afloat\n" {
		t.Errorf("after the rebuild the table has %q", out)
	}
	w.Must("down", name)
}
