package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/tree"
)

// LayerMeta describes a layer. Key is the SHA-256 over all that went into it,
// its parent's key included; how it is computed is the builder's business.
type LayerMeta struct {
	Key     string            `json:"key"`
	Parent  string            `json:"parent,omitempty"` // key; empty for the lowest
	Kind    string            `json:"kind"`             // base, packages, definition, secrets
	Packs   []string          `json:"packs,omitempty"`  // digests of the packages it added
	Created time.Time         `json:"created"`
	Info    map[string]string `json:"info,omitempty"`
	// TreeBytes is the disk space of the folder; CommitLayer fills it in.
	TreeBytes int64 `json:"tree_bytes"`
}

// Layer is a committed layer, open for reading. Its descriptors are closed
// with the store. It is safe for concurrent use.
type Layer struct {
	s      *Store
	meta   LayerMeta
	parent *Layer

	manifest func() (*tree.Manifest, error)
	index    func() (*contentIndex, error)
	opened   atomic.Pointer[contentIndex] // what index gave, to close it
}

func (s *Store) layerPath(key, file string) string { return s.path("layers", key, file) }

// HasLayer reports whether a layer and everything below it is there and
// whole. Another user's layers do not count, as nobody can check them.
func (s *Store) HasLayer(key string) bool {
	_, err := s.Layer(key)
	return err == nil
}

// Layer opens a layer. The error wraps ErrNotFound when it, its folder or a
// layer below it is missing, and is a *CorruptError when it is damaged.
func (s *Store) Layer(key string) (*Layer, error) {
	if !validName(key) {
		return nil, fmt.Errorf("opening the layer %q: not a key", key)
	}
	s.layerMu.Lock()
	defer s.layerMu.Unlock()
	return s.layer(key, 0)
}

const maxDepth = 100 // layers over each other; overlayfs allows 500

func (s *Store) layer(key string, depth int) (*Layer, error) {
	if l := s.layers[key]; l != nil {
		return l, nil
	}
	meta, err := s.readMeta(key)
	if err != nil {
		return nil, err
	}
	l := &Layer{s: s, meta: *meta}
	l.manifest = sync.OnceValues(l.readManifest)
	l.index = sync.OnceValues(l.readIndex)
	if meta.Parent != "" {
		if depth > maxDepth {
			return nil, &CorruptError{Path: s.layerPath(key, "meta.json"), What: "its parents do not end"}
		}
		if l.parent, err = s.layer(meta.Parent, depth+1); err != nil {
			return nil, fmt.Errorf("opening the layer %s: below it: %w", key, err)
		}
	}
	s.touch(s.layerPath(key, "meta.json"))
	s.layers[key] = l
	return l, nil
}

// readMeta reads what a layer says of itself, and checks that it is whole.
func (s *Store) readMeta(key string) (*LayerMeta, error) {
	name := s.layerPath(key, "meta.json")
	b, err := os.ReadFile(name)
	if s.foreign || errors.Is(err, fs.ErrNotExist) || err == nil && !s.layerWhole(key) {
		return nil, fmt.Errorf("opening the layer %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return nil, s.explain("opening a layer", err)
	}
	m := new(LayerMeta)
	if err := json.Unmarshal(b, m); err != nil || m.Key != key || m.Parent != "" && !validName(m.Parent) {
		return nil, &CorruptError{Path: name, What: "does not describe the layer " + key}
	}
	for _, p := range m.Packs {
		if !validName(p) {
			return nil, &CorruptError{Path: name, What: fmt.Sprintf("names the pack %q", p)}
		}
	}
	return m, nil
}

// Meta is what CommitLayer was given.
func (l *Layer) Meta() LayerMeta { return l.meta }

// Parent is the layer below; nil for the lowest.
func (l *Layer) Parent() *Layer { return l.parent }

// Manifest is the whole tree as it is with this layer on top. It is shared:
// the caller must not change it.
func (l *Layer) Manifest() (*tree.Manifest, error) { return l.manifest() }

// Dirs are the folders of this layer and those below, the top first, as
// overlayfs takes them. Their ids are shifted.
func (l *Layer) Dirs() []string {
	var dirs []string
	for ; l != nil; l = l.parent {
		dirs = append(dirs, l.s.path("trees", l.meta.Key))
	}
	return dirs
}

func (l *Layer) readManifest() (*tree.Manifest, error) {
	name := l.s.layerPath(l.meta.Key, "manifest")
	f, err := os.Open(name)
	if err != nil {
		return nil, l.s.explain("opening a manifest", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil, fmt.Errorf("opening a manifest: %w", err)
	}
	defer z.Close()
	m, err := tree.Decode(z)
	if err != nil {
		return nil, &CorruptError{Path: name, What: err.Error()}
	}
	return m, nil
}

// close closes the packs, if they were ever opened.
func (l *Layer) close() {
	if x := l.opened.Swap(nil); x != nil {
		x.close()
	}
}
