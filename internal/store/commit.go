package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// CommitLayer makes a layer: m is the whole tree with the layer on top, upper
// its folder (no longer mounted, on the store's filesystem), content gives
// what m names and neither meta.Packs nor the layers below hold.
//
// The layer becomes visible at once and whole, or not at all. On success upper
// was moved into the store; if the same layer is already there, which is no
// error, upper is left to the caller. Called in a worker, for the folder's ids
// are not the caller's.
func (s *Store) CommitLayer(ctx context.Context, meta LayerMeta, m *tree.Manifest, upper string, content tree.Content) error {
	if err := s.writable("committing a layer"); err != nil {
		return err
	}
	if !validName(meta.Key) || meta.Parent != "" && !validName(meta.Parent) {
		return fmt.Errorf("committing the layer %q over %q: not keys", meta.Key, meta.Parent)
	}
	unlock, err := s.Lock("layer-"+meta.Key, true)
	if err != nil {
		return err
	}
	defer unlock()
	if s.HasLayer(meta.Key) {
		return nil
	}
	if err := s.stageLayer(ctx, meta, m, upper, content); err != nil {
		return fmt.Errorf("committing the layer %s: %w", meta.Key, err)
	}
	return nil
}

func (s *Store) stageLayer(ctx context.Context, meta LayerMeta, m *tree.Manifest, upper string, content tree.Content) error {
	stage, err := s.TempDir("layer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage) // gone when it was renamed
	if err := s.own(stage); err != nil {
		return err
	}
	var parts errgroup.Group // which have nothing to do with each other
	parts.Go(func() error { return s.writeContents(ctx, filepath.Join(stage, "pack"), meta, m, content) })
	parts.Go(func() error {
		return s.writeStaged(filepath.Join(stage, "manifest"), func(w *bufio.Writer) error { return compressManifest(w, m) })
	})
	treeBytes, err := diskUsage(upper)
	if err := errors.Join(err, parts.Wait()); err != nil {
		return err
	}
	meta.TreeBytes = treeBytes
	err = s.writeStaged(filepath.Join(stage, "meta.json"), func(w *bufio.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		return e.Encode(meta)
	})
	if err != nil {
		return err
	}
	if err := s.markBoot(stage); err != nil {
		return err
	}
	return s.install(meta.Key, stage, upper)
}

// install renames the parts into place, the folder first: a layer counts only
// with both.
func (s *Store) install(key, stage, upper string) error {
	final := s.path("layers", key)
	for _, old := range []string{final, s.path("trees", key)} { // left from a power cut or a kill
		if _, err := s.discard(old); err != nil {
			return err
		}
	}
	if err := os.Rename(upper, s.path("trees", key)); err != nil {
		return s.explain("moving a tree into the store", err)
	}
	return s.explain("committing a layer", os.Rename(stage, final))
}

// discard moves something out of sight, into a folder in tmp, where GC
// removes it.
func (s *Store) discard(name string) (dead string, err error) {
	if _, err := os.Lstat(name); err != nil {
		return "", ignoreNotExist(err)
	}
	if dead, err = s.TempDir("dead"); err == nil {
		err = s.own(dead)
	}
	if err == nil {
		err = os.Rename(name, filepath.Join(dead, filepath.Base(name)))
	}
	return dead, s.explain("discarding "+filepath.Base(name), ignoreNotExist(err))
}

func (s *Store) writeStaged(name string, write func(*bufio.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return s.explain("writing a layer", err)
	}
	b := bufio.NewWriter(f)
	err = errors.Join(write(b), b.Flush(), f.Close())
	if err == nil {
		err = s.own(name)
	}
	return s.explain("writing a layer", err)
}

func compressManifest(w *bufio.Writer, m *tree.Manifest) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return errors.Join(m.Encode(z), z.Close())
}

// writeContents packs every content of the tree that nothing else holds.
func (s *Store) writeContents(ctx context.Context, name string, meta LayerMeta, m *tree.Manifest, content tree.Content) error {
	have, err := s.contentsBelow(meta)
	if err != nil {
		return err
	}
	w, err := s.newPackWriter(name)
	if err != nil {
		return err
	}
	defer w.Abort()
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type != tree.File || have[e.Digest] {
			continue
		}
		have[e.Digest] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := addContent(w, e, content); err != nil {
			return err
		}
	}
	return w.Commit()
}

func addContent(w *PackWriter, e *tree.Entry, content tree.Content) error {
	if content == nil {
		return fmt.Errorf("content of %q: %w", e.Path, tree.ErrNoContent)
	}
	r, err := content.Open(e.Digest)
	if err != nil {
		return fmt.Errorf("content of %q: %w", e.Path, err)
	}
	defer r.Close()
	if err := w.Add(tree.Entry{Path: e.Path, Type: tree.File, Size: e.Size}, r); err != nil {
		return err
	}
	if got := w.Last().Digest; got != e.Digest {
		return fmt.Errorf("content of %q has digest %s, the manifest says %s: it changed after it was scanned", e.Path, got, e.Digest)
	}
	return nil
}

// contentsBelow is what the packs of a new layer, and the layers below, hold.
func (s *Store) contentsBelow(meta LayerMeta) (map[tree.Digest]bool, error) {
	have := map[tree.Digest]bool{tree.Empty: true}
	own := &contentIndex{at: make(map[tree.Digest]packed)}
	defer own.close()
	if err := own.addPacks(s, meta.Packs); err != nil {
		return nil, err
	}
	for d := range own.at {
		have[d] = true
	}
	if meta.Parent == "" {
		return have, nil
	}
	l, err := s.Layer(meta.Parent)
	for ; err == nil && l != nil; l = l.parent {
		var x *contentIndex
		if x, err = l.index(); err == nil {
			for d := range x.at {
				have[d] = true
			}
		}
	}
	return have, err
}

// diskUsage is the space in bytes that a folder takes; a file with several
// names is shared out among them.
func diskUsage(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if d.IsDir() || st.Nlink <= 1 {
			sum += st.Blocks * 512
		} else {
			sum += st.Blocks * 512 / int64(st.Nlink)
		}
		return nil
	})
	return sum, err
}
