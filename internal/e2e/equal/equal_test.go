package equal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
	"slipway/internal/store"
	"slipway/internal/tree"
)

func TestMain(m *testing.M) { kit.Main(m) }

// TestEquality is the comparison. SLIPWAY_TIER says how much of the grid is
// tried: nothing by default, with "boot" each set on one release, with "long"
// all of it. SLIPWAY_EQUAL_SET and SLIPWAY_EQUAL_RELEASE choose by name; a set
// that is not in the table is a list of packages with commas.
//
// For work on a difference SLIPWAY_EQUAL_REUSE names a folder in which the
// reference trees stay and from which they are taken again; never in CI,
// because they age.
func TestEquality(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	if os.Getuid() != 0 {
		t.Skip("mmdebstrap makes device nodes: needs root")
	}
	h := newHarness(t)
	if each(t, h.compare) && !t.Failed() {
		h.wantAllRulesUsed(t)
	}
}

// each calls try for the chosen part of the grid and reports whether that was
// all of it.
func each(t *testing.T, try func(t *testing.T, s Set, release string)) (all bool) {
	t.Helper()
	long := os.Getenv("SLIPWAY_TIER") == "long"
	set, release := os.Getenv("SLIPWAY_EQUAL_SET"), os.Getenv("SLIPWAY_EQUAL_RELEASE")
	if release != "" && !slices.Contains(Releases, release) {
		t.Fatalf("release %q is not one of %v", release, Releases)
	}
	for _, s := range chosen(set) {
		for _, r := range Releases {
			asked := release == r || release == "" && (long || set != "" || s.Boot == "" || s.Boot == r)
			if asked {
				t.Run(s.Name+"/"+r, func(t *testing.T) { try(t, s, r) })
			}
		}
	}
	return long && set == "" && release == ""
}

func chosen(name string) []Set {
	if name == "" {
		return Sets
	}
	for _, s := range Sets {
		if s.Name == name {
			return []Set{s}
		}
	}
	packages := strings.Split(name, ",")
	return []Set{{Name: "list-" + packages[0], Packages: packages}}
}

type harness struct {
	yard      *Shipyard
	reference *Mmdebstrap
	fast      string // scratch folder, in memory where possible
	reuse     string
	used      map[*Rule]int
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{used: map[*Rule]int{}, reuse: os.Getenv("SLIPWAY_EQUAL_REUSE")}
	h.fast = scratch(t)
	dir := kit.TempDir(t)
	if h.reuse != "" {
		dir = h.reuse
	}
	s, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if h.yard, err = Open(s, kit.TempDir(t)); err != nil {
		t.Fatal(err)
	}
	return h
}

// scratch is a folder in memory if there is room, else on the disk.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "slipway-equal-")
	if err != nil {
		return kit.TempDir(t)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (h *harness) compare(t *testing.T, s Set, release string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	ours, err := h.yard.Build(ctx, s, release)
	if err != nil {
		t.Fatal(err)
	}
	h.compareDisk(t, ctx, ours)
	var ref [2]*Tree
	var took [2]time.Duration
	for i := range ref {
		dir := h.referenceDir(t, s, release, i, ours.Date)
		if ref[i], took[i], err = h.makeReference(ctx, dir, s, release, ours.Date); err != nil {
			t.Fatal(err)
		}
	}
	noise := Compare(ref[0], ref[1])
	all := Compare(ref[0], ours.Tree)
	findings := Subtract(all, noise)
	left, permitted := Permit(findings, ref[0], ours.Tree)
	t.Logf("%d entries; %d differ, %d when what mmdebstrap's own runs differ in is left out, %d are allowed, %d are not; slipway %.1f s, mmdebstrap %.1f s and %.1f s",
		len(ref[0].Manifest.Entries), len(all), len(findings), len(findings)-len(left), len(left),
		ours.Took.Seconds(), took[0].Seconds(), took[1].Seconds())
	for i := range Allowed {
		r := &Allowed[i]
		if n := len(permitted[r]); n > 0 {
			h.used[r] += n
			t.Logf("allowed %d: /%s, because %s", n, r.Path, r.Reason)
		}
	}
	if len(noise) > 0 {
		t.Logf("mmdebstrap's own runs differ in:\n%s", Outline(noise, ref[0], ref[1]))
	}
	if len(left) > 0 {
		t.Errorf("%d entries differ:\n%s", len(left), Report(left, ref[0], ours.Tree))
	}
}

// compareDisk holds the manifest, which everything else is compared with,
// against what a machine finds on the disk.
func (h *harness) compareDisk(t *testing.T, ctx context.Context, ours *Built) {
	t.Helper()
	disk, err := h.yard.OnDisk(ctx, ours.Dirs)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range tree.Compare(ours.Manifest, disk) {
		if d.Path == "." || d.Change == tree.Removed && (d.A.Type == tree.Char || d.A.Type == tree.Block) {
			continue
		}
		t.Errorf("/%s differs between the manifest and the disk: %s %v", d.Path, d.Change, d.Attrs)
	}
}

// referenceDir is where a reference tree goes: into memory, for as long as it
// is looked at, or where it stays to be used again.
func (h *harness) referenceDir(t *testing.T, s Set, release string, run int, date time.Time) string {
	t.Helper()
	name := fmt.Sprintf("%s-%s-%d", s.Name, release, run)
	if h.reuse != "" {
		return filepath.Join(h.reuse, fmt.Sprintf("%s-%d", name, date.Unix()))
	}
	dir := filepath.Join(h.fast, name)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// makeReference runs mmdebstrap, or takes a tree that an earlier run left.
func (h *harness) makeReference(ctx context.Context, dir string, s Set, release string, date time.Time) (*Tree, time.Duration, error) {
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		t, err := Load(ctx, filepath.Join(dir, "tree"))
		return t, 0, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, 0, err
	}
	if h.reference == nil {
		var err error
		if h.reference, err = Install(ctx, h.yard, h.fast); err != nil {
			return nil, 0, fmt.Errorf("making a machine with mmdebstrap: %w", err)
		}
	}
	t, took, err := h.reference.Run(ctx, dir, release, s.Packages, date)
	if err == nil && h.reuse != "" {
		err = os.WriteFile(done, nil, 0o644)
	}
	return t, took, err
}

func (h *harness) wantAllRulesUsed(t *testing.T) {
	t.Helper()
	for i := range Allowed {
		if h.used[&Allowed[i]] == 0 {
			t.Errorf("nothing needs the allowed line for /%s any more (%s): remove it", Allowed[i].Path, Allowed[i].Reason)
		}
	}
}
