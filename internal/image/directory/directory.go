// Package directory writes a tree as a plain folder with its real owners and
// devices, which only real root can do.
//
// The folder is made beside its place and exchanged with what was there, so
// that it is never seen half-written; only an empty mount point is filled in
// place. A marker beside it, never inside, remembers which folder slipway
// wrote: any other that is not empty is left alone.
package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Write makes or replaces the folder at path.
func Write(ctx context.Context, path string, m *tree.Manifest, c tree.Content, opt image.Options) error {
	path, err := filepath.Abs(path)
	if err == nil {
		err = allowed(path)
	}
	if err == nil {
		err = write(ctx, path, m, c, opt)
	}
	if err != nil {
		return fmt.Errorf("writing the folder %s: %w", path, err)
	}
	return nil
}

// allowed tells early what cannot work.
func allowed(path string) error {
	if os.Geteuid() != 0 || !allIDs() {
		return fmt.Errorf("real owners and devices need root (and not of a user namespace); "+
			"run it as root, or write an archive: -o %s.tar", filepath.Base(path))
	}
	empty, err := isEmpty(path)
	if err != nil || empty {
		return err
	}
	if !wroteIt(path) {
		return errors.New("it is not empty, and slipway did not write it; name an empty or new folder, or remove it first")
	}
	return nil
}

// allIDs reports whether this process sees every id, as only the initial user
// namespace does. Without /proc the ids are taken as real.
func allIDs() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// isEmpty is also true for what is not there.
func isEmpty(path string) (bool, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case !st.IsDir():
		return false, errors.New("it is there and no folder; name another output")
	}
	names, err := os.ReadDir(path)
	return len(names) == 0, err
}

func write(ctx context.Context, path string, m *tree.Manifest, c tree.Content, opt image.Options) error {
	if opt.Epoch > 0 {
		m = &tree.Manifest{Entries: append([]tree.Entry(nil), m.Entries...)}
		tree.Clamp(m, opt.Epoch)
	}
	stage, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage) // what was there before, after the exchange
	if err := tree.Materialise(ctx, stage, m, c, tree.MaterialiseOptions{Devices: true}); err != nil {
		return err
	}
	if err := mark(path, stage, path); err != nil { // both are ours until it is done
		return err
	}
	if err := exchange(stage, path); errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		return fillMount(ctx, path, m, c)
	} else if err != nil {
		return err
	}
	return mark(path, path)
}

// exchange puts stage at path; what was there is at stage afterwards.
func exchange(stage, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, stage, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	switch {
	case err == unix.ENOENT:
		return os.Rename(stage, path)
	case err == unix.EINVAL || err == unix.ENOSYS: // a filesystem that cannot
		old := stage + ".old"
		if err := os.Rename(path, old); err != nil {
			return err
		}
		defer os.RemoveAll(old)
		return os.Rename(stage, path)
	}
	return err
}

// fillMount writes into a mount point, which cannot be renamed.
func fillMount(ctx context.Context, path string, m *tree.Manifest, c tree.Content) error {
	if empty, err := isEmpty(path); err != nil || !empty {
		return errors.Join(errors.New("it is a mount point and not empty, so it cannot be replaced at once; empty it first"), err)
	}
	if err := tree.Materialise(ctx, path, m, c, tree.MaterialiseOptions{Devices: true}); err != nil {
		return err
	}
	return mark(path, path)
}
