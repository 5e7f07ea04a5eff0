package intree

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/minted"
)

// RemoveMinted takes out what every machine must have of its own (package
// minted), unless a package ships it.
func (r *Root) RemoveMinted(shipped func(name string) bool) error {
	for _, kind := range minted.Kinds {
		for _, pattern := range kind.Remove {
			names, err := r.Glob(strings.TrimPrefix(pattern, "/"))
			if err != nil {
				return err
			}
			for _, name := range names {
				if shipped(name) {
					continue // shipped by a package, so not made at random
				}
				_, err := r.Lstat(name)
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
					continue
				}
				if err == nil {
					err = r.RemoveAll(name)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Glob lists the names in the tree that match a pattern, as path/filepath.Glob
// does on the host.
func (r *Root) Glob(pattern string) ([]string, error) {
	found := []string{""}
	for _, part := range strings.Split(pattern, "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*?[") {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, err := r.List(path.Join(".", dir))
			if errors.Is(err, unix.ENOTDIR) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				if ok, _ := path.Match(part, name); ok {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found, nil
}
