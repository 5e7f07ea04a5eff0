package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/tree"
)

var ctx = context.Background()

// commit makes a layer whose folder holds the given files, over the parent's.
func commit(t testing.TB, s *Store, key, parent string, packs []string, files map[string]string) {
	t.Helper()
	upper, err := s.TempDir("upper")
	if err != nil {
		t.Fatal(err)
	}
	for p, c := range files {
		os.MkdirAll(filepath.Dir(filepath.Join(upper, p)), 0o700)
		if err := os.WriteFile(filepath.Join(upper, p), []byte(c), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := tree.Scan(ctx, upper, tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	content := tree.DirContent(upper, m)
	if parent != "" {
		l, err := s.Layer(parent)
		if err != nil {
			t.Fatal(err)
		}
		below, err := l.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range below.Entries {
			if m.Lookup(e.Path) == nil {
				m.Entries = append(m.Entries, e)
				m.Sort()
			}
		}
	}
	meta := LayerMeta{Key: key, Parent: parent, Kind: "test", Packs: packs, Created: time.Unix(1, 0).UTC()}
	if err := s.CommitLayer(ctx, meta, m, upper, content); err != nil {
		t.Fatal(err)
	}
}

func TestLayers(t *testing.T) {
	s := open(t)
	pack := writePack(t, s)
	commit(t, s, "k1", "", []string{pack}, map[string]string{"a": "the letter z", "b/c": "minted"})
	commit(t, s, "k2", "k1", nil, map[string]string{"new": "new", "same": "minted"})

	s.forgetLayers() // as another process would see it
	l, err := s.Layer("k2")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{s.path("trees/k2"), s.path("trees/k1")}; !cmp.Equal(want, l.Dirs()) {
		t.Errorf("folders: got %v, want %v", l.Dirs(), want)
	}
	if b, _ := os.ReadFile(s.path("trees/k1/b/c")); string(b) != "minted" {
		t.Errorf("in the folder: got %q", b)
	}
	if m := l.Meta(); m.Parent != "k1" || m.TreeBytes == 0 || l.Parent().Meta().Packs[0] != pack {
		t.Errorf("meta: got %+v", m)
	}
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{"a": "the letter z", "b/c": "minted", "new": "new", "same": "minted"} {
		r, err := l.Content().Open(m.Lookup(p).Digest)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != want || err != nil {
			t.Errorf("content of %s: got %q, %v", p, got, err)
		}
	}
	out := t.TempDir()
	if err := tree.Materialise(ctx, out, m, l.Content(), tree.MaterialiseOptions{NoOwners: true}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "b/c")); string(b) != "minted" {
		t.Errorf("materialised: got %q", b)
	}
	// "a" is in the package and "same" below: neither is stored again.
	for key, want := range map[string]int{"k1": 1, "k2": 1} {
		p, err := openPack(s.layerPath(key, "pack"))
		if err != nil || len(p.Entries()) != want {
			t.Errorf("pack of %s: got %v, %v; want %d entries", key, p.Entries(), err, want)
		}
		p.Close()
	}
}

func TestLayerMissingParts(t *testing.T) {
	s := open(t)
	commit(t, s, "k1", "", nil, map[string]string{"a": "a"})
	commit(t, s, "k2", "k1", nil, map[string]string{"b": "b"})
	for _, gone := range []string{"trees/k1", "layers/k1/meta.json"} {
		s.forgetLayers()
		if !s.HasLayer("k2") {
			t.Fatal("layer is not there to begin with")
		}
		s.forgetLayers()
		os.Rename(s.path(gone), s.path("tmp/x"))
		if _, err := s.Layer("k2"); !errors.Is(err, ErrNotFound) {
			t.Errorf("without %s: got error %v, want ErrNotFound", gone, err)
		}
		os.Rename(s.path("tmp/x"), s.path(gone))
	}
	for _, file := range []string{"manifest", "pack", "meta.json"} {
		name := s.layerPath("k2", file)
		good, _ := os.ReadFile(name)
		bad := bytes.Clone(good)
		bad[0] ^= 0x20
		os.WriteFile(name, bad, 0o600)
		s.forgetLayers()
		l, err := s.Layer("k2")
		if err == nil {
			_, err = l.Manifest()
		}
		if err == nil {
			_, err = l.Content().Open(tree.Digest{1})
		}
		if c := (*CorruptError)(nil); !errors.As(err, &c) {
			t.Errorf("damaged %s: got error %v, want a CorruptError", file, err)
		}
		os.WriteFile(name, good, 0o600)
	}
	if err := s.DropLayer("k2"); err != nil || s.HasLayer("k2") || !s.HasLayer("k1") {
		t.Errorf("dropping a layer: %v", err)
	}
}

// A layer that was never flushed does not survive a reboot, one that was does.
func TestLayerBoot(t *testing.T) {
	s := open(t)
	commit(t, s, "k1", "", nil, map[string]string{"a": "a"})
	reboot := func() {
		s.forgetLayers()
		if _, err := os.Stat(s.layerPath("k1", "boot")); err == nil {
			os.WriteFile(s.layerPath("k1", "boot"), []byte("another boot\n"), 0o600)
		}
	}
	reboot()
	if s.HasLayer("k1") {
		t.Error("an unflushed layer survived the reboot")
	}
	commit(t, s, "k1", "", nil, map[string]string{"a": "a"})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	reboot()
	if !s.HasLayer("k1") {
		t.Error("a flushed layer did not survive the reboot")
	}
}

func TestCommitRefuses(t *testing.T) {
	s := open(t)
	upper, _ := s.TempDir("upper")
	c := tree.Bytes{}
	file := tree.Entry{Path: "a", Type: tree.File, Size: 1, Digest: tree.Digest{7}}
	for want, tc := range map[string]struct {
		meta    LayerMeta
		content tree.Content
	}{
		"not keys":          {LayerMeta{Key: "../k"}, c},
		"not there":         {LayerMeta{Key: "k"}, c},
		"not in the store":  {LayerMeta{Key: "k", Parent: "none"}, c},
		"opening the pack":  {LayerMeta{Key: "k", Packs: []string{digest("none")}}, c},
		"after it was scan": {LayerMeta{Key: "k"}, tree.Bytes{{7}: []byte("x")}},
	} {
		err := s.CommitLayer(ctx, tc.meta, &tree.Manifest{Entries: []tree.Entry{file}}, upper, tc.content)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if names, _ := os.ReadDir(s.path("tmp")); len(names) != 1 {
		t.Errorf("left in tmp: %v", names)
	}
}

// What a worker writes belongs to the caller, but for the tree itself.
func TestWorkerOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play a worker outside of a user namespace")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{Worker: true}); err == nil {
		t.Error("a worker made a store")
	}
	s, err := Open(open(t).Dir(), Options{Worker: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pack := writePack(t, s)
	commit(t, s, "k", "", []string{pack}, map[string]string{"a": "a"})
	s.Log("x", 1)
	for p, want := range map[string]uint32{"layers/k": WorkerOwner, "layers/k/meta.json": WorkerOwner, "layers/k/manifest": WorkerOwner,
		"layers/k/pack": WorkerOwner, "layers/k/boot": WorkerOwner, "packs/" + pack + ".pack": WorkerOwner, "state.log": WorkerOwner,
		"locks/layer-k": WorkerOwner, "trees/k": 0, "trees/k/a": 0} {
		st, err := os.Stat(s.path(p))
		if err != nil {
			t.Error(err)
		} else if got := st.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", p, got, want)
		}
	}
}
