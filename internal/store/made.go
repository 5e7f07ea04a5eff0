package store

import (
	"fmt"
	"os"
	"path/filepath"
)

// What slipway made and can make again (tool trees, images of built machines)
// is a folder of plain files of the store's owner, whole or not there:
//
//	<part>/<key>/tree/  what was made
//	<part>/<key>/boot   see Flush

// made is the folder of something made, and whether it is there. Another
// user's is never there: nothing proves what it is.
func (s *Store) made(part, key string) (dir string, ok bool) {
	dir = s.path(part, key, "tree")
	if s.foreign || !validName(key) || !s.madeWhole(part, key) {
		return dir, false
	}
	s.touch(s.path(part, key))
	return dir, true
}

func (s *Store) madeWhole(part, key string) bool {
	st, err := os.Lstat(s.path(part, key, "tree"))
	return err == nil && st.IsDir() && ofThisBoot(s.path(part, key, "boot"))
}

// commitMade moves a folder that TempDir gave to its name, with notes beside it.
func (s *Store) commitMade(part, key, stage string, notes map[string][]byte) error {
	what := madeNames[part]
	if err := s.writable("keeping " + what); err != nil {
		return err
	}
	if !validName(key) {
		return fmt.Errorf("keeping %s as %q: not a usable name", what, key)
	}
	outer, err := s.TempDir("made")
	if err != nil {
		return err
	}
	defer os.RemoveAll(outer) // gone after the last rename
	if err := os.Rename(stage, filepath.Join(outer, "tree")); err != nil {
		return s.explain("keeping "+what, err)
	}
	for name, data := range notes {
		if err := os.WriteFile(filepath.Join(outer, name), data, 0o600); err != nil {
			return s.explain("keeping "+what, err)
		}
	}
	if err := s.markBoot(outer); err != nil {
		return err
	}
	if err := s.dropMade(part, key); err != nil {
		return err
	}
	return s.explain("keeping "+what, os.Rename(outer, s.path(part, key)))
}

// dropMade removes something made. None is no error.
func (s *Store) dropMade(part, key string) error {
	what := madeNames[part]
	if err := s.writable("removing " + what); err != nil {
		return err
	}
	if !validName(key) {
		return nil
	}
	dead, err := s.discard(s.path(part, key))
	if err == nil && dead != "" {
		err = os.RemoveAll(dead)
	}
	return s.explain("removing "+what, err)
}

// addMade lists something made for garbage collection.
func (s *Store) addMade(inv *inventory, kind, part, name string) {
	it := inv.add(kind, name, s.path(part, name))
	if !s.madeWhole(part, name) {
		it.broken = "it was not on the disk when the host stopped"
	}
}

// madeNames is what messages call a part of the store.
var madeNames = map[string]string{"tools": "a tool tree", "images": "an image"}

// Image is the folder of an image of a built machine, made by slipway for its
// own use, and whether it is there.
func (s *Store) Image(key string) (dir string, ok bool) { return s.made("images", key) }

// CommitImage moves a folder that TempDir gave to its name; the caller holds a
// lock that keeps others from doing the same.
func (s *Store) CommitImage(key, stage string) error { return s.commitMade("images", key, stage, nil) }

// DropImage removes an image, because it is damaged. None is no error.
func (s *Store) DropImage(key string) error { return s.dropMade("images", key) }
