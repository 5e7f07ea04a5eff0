package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// formatVersion changes when a store of the one kind would be misread as the
// other.
const formatVersion = 1

const versionText = "slipway store %d\n"

// checkVersion refuses what is not a store of ours, and marks a new one.
func (s *Store) checkVersion() error {
	name := s.path("version")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s.newVersion(name)
	}
	if err != nil {
		return s.explain("reading the store's version", err)
	}
	var v int
	if _, err := fmt.Fscanf(bytes.NewReader(b), versionText, &v); err != nil {
		return fmt.Errorf("opening the store: %s does not say %q; "+
			"%s is not a slipway store, name another with --store DIR", name, fmt.Sprintf(versionText, formatVersion), s.dir)
	}
	if v > formatVersion {
		return fmt.Errorf("opening the store %s: a newer slipway made it (format %d, this one knows %d); "+
			"use that slipway, or another store with --store DIR", s.dir, v, formatVersion)
	}
	return nil
}

// newVersion makes an empty folder a store. Two processes may do so at once:
// they write the same bytes.
func (s *Store) newVersion(name string) error {
	if s.readOnly || s.opt.Worker {
		return fmt.Errorf("opening the store: %s is not a slipway store (it has no file %q)", s.dir, "version")
	}
	if other, err := s.strangers(); err != nil {
		return s.explain("opening the store", err)
	} else if other != "" {
		return fmt.Errorf("opening the store: %s holds %q and is not a slipway store; "+
			"name an empty or new folder with --store DIR", s.dir, other)
	}
	f, err := os.CreateTemp(s.dir, ".version-*")
	if err != nil {
		return s.explain(creating, err)
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, versionText, formatVersion)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	return s.explain(creating, err)
}

// strangers names something in the folder that no slipway put there.
func (s *Store) strangers() (string, error) {
	names, err := os.ReadDir(s.dir)
	for _, n := range names {
		known := n.Name() == "version" || n.Name() == "lock" || n.Name() == "state.log" || n.Name() == "lost+found"
		for _, d := range subdirs {
			known = known || n.Name() == d
		}
		if ok, _ := filepath.Match(".version-*", n.Name()); !known && !ok {
			return n.Name(), nil
		}
	}
	return "", err
}
