package store

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func names(r Report) []string {
	var out []string
	for _, it := range r.Removed {
		if it.Kind != "lock" {
			out = append(out, it.Kind+" "+it.Name)
		}
	}
	return out
}

// age makes a layer or pack look unused for some days.
func age(t *testing.T, path string, days int) {
	t.Helper()
	when := time.Now().AddDate(0, 0, -days)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func TestGC(t *testing.T) {
	s := open(t)
	pack := writePack(t, s)
	commit(t, s, "base", "", []string{pack}, map[string]string{"a": "a"})
	commit(t, s, "old", "base", nil, map[string]string{"b": "b"})
	commit(t, s, "new", "base", nil, map[string]string{"c": "c"})
	s.ImportObject("deb", digest("d"), strings.NewReader("d"))
	age(t, s.layerPath("base", "meta.json"), 30)
	age(t, s.PackPath(pack), 60)
	age(t, s.layerPath("old", "meta.json"), 20)
	age(t, s.ObjectPath("deb", digest("d")), 40)
	os.MkdirAll(s.path("trees/orphan"), 0o700)
	os.MkdirAll(s.path("tmp/stale/x"), 0o700)

	expect := func(opt GCOptions, want ...string) {
		t.Helper()
		r, err := s.GC(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(r); !slices.Equal(got, want) {
			t.Errorf("removed %q, want %q", got, want)
		}
	}
	removed := 0
	hook := func(p string) error { removed++; return os.RemoveAll(p) }
	expect(GCOptions{DryRun: true}, "tree orphan", "temporary stale")
	expect(GCOptions{RemoveAll: hook}, "tree orphan", "temporary stale")
	if removed != 2 {
		t.Errorf("the hook was called %d times, want 2", removed)
	}
	expect(GCOptions{MaxAge: 10 * 24 * time.Hour}, "deb "+digest("d"), "layer old")
	if !s.HasLayer("new") || s.HasLayer("old") {
		t.Error("wrong layers are left")
	}
	if _, err := os.Stat(s.path("trees/old")); err == nil {
		t.Error("the folder of a removed layer is left")
	}
	s.Pin("machine", "new")
	expect(GCOptions{All: true})
	s.Unpin("machine")
	// What needs others goes before them, although all were used at once.
	expect(GCOptions{MaxBytes: 1}, "layer new", "layer base", "pack "+pack)
	if u, err := s.Usage(); err != nil || u.Total != 0 {
		t.Errorf("usage of an empty store: %+v, %v", u, err)
	}
}

func TestGCBusy(t *testing.T) {
	s := open(t)
	other, err := Open(s.Dir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(ctx, GCOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got error %v, want ErrBusy", err)
	}
	other.Close()
	if _, err := s.GC(ctx, GCOptions{}); err != nil {
		t.Error(err)
	}
}

func TestGCBroken(t *testing.T) {
	s := open(t)
	commit(t, s, "k1", "", nil, map[string]string{"a": "a"})
	commit(t, s, "k2", "k1", nil, map[string]string{"b": "b"})
	os.RemoveAll(s.path("trees/k1"))
	s.Pin("p", "k2") // a pin cannot keep what is broken
	r, err := s.GC(ctx, GCOptions{})
	if got := names(r); err != nil || !slices.Equal(got, []string{"layer k1", "layer k2"}) {
		t.Errorf("removed %q, %v", got, err)
	}
}

func TestUsage(t *testing.T) {
	s := open(t)
	commit(t, s, "k1", "", []string{writePack(t, s)}, map[string]string{"a": "a"})
	u, err := s.Usage()
	if err != nil || u.Layers != 1 || u.Packs != 1 || u.PackBytes < 20_000 || u.LayerBytes == 0 || u.Total < u.PackBytes+u.LayerBytes {
		t.Errorf("got %+v, %v", u, err)
	}
}
