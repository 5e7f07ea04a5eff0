package equal

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/build"
	"slipway/internal/distro"
	"slipway/internal/distro/apk"
	"slipway/internal/distro/apk/apktest"
	"slipway/internal/e2e/kit"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tree"
)

func init() { build.Installers["alpine"] = apk.Installer{} }

// alpineSets are packages out of the hundred that Alpine signed.
var alpineSets = map[string][]string{
	"base":    nil,
	"openssh": {"openssh"},
	"network": {"chrony", "dhcpcd", "wpa_supplicant"},
	"dialup":  {"ppp-daemon", "ppp-pppoe", "ifupdown-ng-ppp"},
	"disks":   {"e2fsprogs", "e2fsprogs-extra", "sfdisk", "partx"},
	"cloud":   {"tiny-cloud-alpine", "doas", "wget", "openssl"},
	"clock":   {"openntpd", "tzdata", "kbd-bkeymaps"},
}

// TestAlpineEquality builds each set and has the real apk make the same from
// the same packages: every entry and every byte of apk's database must be the
// same, and the real apk must find nothing to mend in our tree.
func TestAlpineEquality(t *testing.T) {
	kit.NeedMachines(t)
	if os.Getuid() != 0 {
		t.Skip("apk gives files away and changes its root: needs root")
	}
	repository := apktest.Packages(t)
	judge := apktest.NewJudge(t)
	y := alpineYard(t)
	for name, packages := range alpineSets {
		if os.Getenv("SLIPWAY_TIER") == "" && name != "openssh" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			ours := y.buildAlpine(t, name, packages, repository)
			ref := referenceAlpine(t, judge, packages, repository)
			theirs, err := Load(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			findings := withoutMinted(Compare(theirs, ours))
			t.Logf("%d entries, %d differ", len(theirs.Manifest.Entries), len(findings))
			if len(findings) > 0 {
				t.Errorf("%d entries differ:\n%s", len(findings), Report(findings, theirs, ours))
			}
			judged(t, judge, ours, packages)
		})
	}
}

func alpineYard(t *testing.T) *Shipyard {
	t.Helper()
	s, err := store.Open(filepath.Join(kit.TempDir(t), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	host, err := sandbox.Detect()
	if err != nil {
		t.Fatal(err)
	}
	return &Shipyard{dir: kit.TempDir(t), builder: &build.Builder{
		Store: s, Host: host, Progress: progress.New(os.Stderr, progress.Quiet, false),
		Families: map[string]distro.Family{"alpine": apk.New(s)},
	}}
}

func (y *Shipyard) buildAlpine(t *testing.T, name string, packages []string, repository string) *Tree {
	t.Helper()
	file := filepath.Join(y.dir, name+".yaml")
	text := fmt.Sprintf("slipway: v1\nname: %s\nsystem: alpine/3.19\narch: amd64\ninit: none\nmirror: none\nrepositories: [{url: \"file://%s\"}]\npackages: [%s]\n",
		name, repository, strings.Join(packages, ", "))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(file, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := y.builder.Build(t.Context(), d, build.Options{Class: plan.Plain})
	if err != nil {
		t.Fatal(err)
	}
	layer, err := y.builder.Store.Layer(result.Key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := layer.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	built, err := NewTree(m, layer.Content())
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// referenceAlpine is what apk makes of the base and then of the packages.
func referenceAlpine(t *testing.T, judge *apktest.Judge, packages []string, repository string) string {
	t.Helper()
	root := judge.Root(t, "file://"+repository)
	keys, err := filepath.Glob(root + "/etc/apk/keys/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys { // those of other architectures
		if !strings.Contains(key, "4a6a0840") && !strings.Contains(key, "5261cecb") && !strings.Contains(key, "6165ee59") {
			os.Remove(key)
		}
	}
	judge.Run(t, "--root", root, "--initdb", "--arch", "x86_64", "--no-network", "add", "alpine-base")
	if len(packages) > 0 {
		judge.Run(t, append([]string{"--root", root, "--no-network", "add"}, packages...)...)
	}
	settleToday(t, root)
	return root
}

var today = regexp.MustCompile(`(?m)^([^:]+:[^:]*:)(\d+):`)

// settleToday does to the reference what the build does: an account that a
// script makes has the day of the lock, not today's.
func settleToday(t *testing.T, root string) {
	t.Helper()
	now := time.Now().Unix() / 86400
	for _, name := range []string{"etc/shadow", "etc/shadow-"} {
		path := filepath.Join(root, name)
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fixed := today.ReplaceAllFunc(data, func(b []byte) []byte {
			m := today.FindSubmatch(b)
			var day int64
			fmt.Sscan(string(m[2]), &day)
			if day >= now-1 {
				day = alpineDay
			}
			return fmt.Appendf(nil, "%s%d:", m[1], day)
		})
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(fixed); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// alpineDay is the day of the fixtures' newest package.
const alpineDay = 19748

// withoutMinted leaves out what every machine makes for itself.
func withoutMinted(list []Finding) (out []Finding) {
	for _, f := range list {
		if f.Change == tree.Removed && strings.HasPrefix(f.Path, "etc/ssh/ssh_host_") {
			continue
		}
		out = append(out, f)
	}
	return out
}

// judged has the real apk look at our tree: its audit must say what it says of
// its own tree (busybox's links, what scripts changed), and there must be
// nothing to fix, to add or to upgrade.
func judged(t *testing.T, judge *apktest.Judge, ours *Tree, packages []string) {
	t.Helper()
	root := filepath.Join(kit.TempDir(t), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.Materialise(t.Context(), root, ours.Manifest, ours.Content, tree.MaterialiseOptions{}); err != nil {
		t.Fatal(err)
	}
	if out := judge.Run(t, "--root", root, "--no-network", "audit", "--system"); strings.TrimSpace(out) != "" {
		t.Errorf("apk audit --system: %s", out)
	}
	fix := judge.Run(t, "--root", root, "--no-network", "fix", "--simulate")
	add := judge.Run(t, append([]string{"--root", root, "--no-network", "add", "--simulate", "alpine-base"}, packages...)...)
	for _, out := range []string{fix, add} {
		if !strings.HasPrefix(out, "OK: ") || strings.Contains(out, "(1/") {
			t.Errorf("apk would change something: %s", out)
		}
	}
}
