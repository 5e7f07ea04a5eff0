package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNotFound is wrapped by errors about things that the store does not hold.
var ErrNotFound = errors.New("not in the store")

// ErrReadOnly is wrapped by errors of writes to a store that is only readable.
var ErrReadOnly = errors.New("the store can only be read")

// CorruptError says that a file of the store is damaged. The remedy is to
// remove it (see Remove functions) and to fetch or make it again.
type CorruptError struct {
	Path string // the damaged file
	What string // what is wrong with it
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Path, e.What) }

// creating is what explain is told when the store itself is made.
const creating = "creating the store"

// explain adds to an error of the filesystem what it means for a store, and
// the way out. It keeps nil as nil.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	remedy := ""
	switch {
	case errors.Is(err, unix.ENOSPC):
		remedy = "; make room (`slipway store gc`) or use a store elsewhere with --store DIR"
	case errors.Is(err, unix.EDQUOT):
		remedy = "; the disk quota is used up: run `slipway store gc` or use a store elsewhere with --store DIR"
	case errors.Is(err, unix.EROFS):
		remedy = "; the filesystem is read-only: use a store elsewhere with --store DIR"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		remedy = "; permission is missing: use a store of your own with --store DIR"
	case errors.Is(err, unix.ENOENT) && doing == creating, errors.Is(err, unix.ENOTDIR) && doing == creating:
		remedy = "; no folder can be made there: use a store elsewhere with --store DIR"
	case errors.Is(err, unix.EIO):
		remedy = "; the disk fails: use a store elsewhere with --store DIR"
	}
	return fmt.Errorf("%s (store %s): %w%s", doing, s.dir, err, remedy)
}

// writable is asked before every write.
func (s *Store) writable(doing string) error {
	switch {
	case s.foreign:
		return fmt.Errorf("%s: %w: %s belongs to another user; use one of your own with --store DIR", doing, ErrReadOnly, s.dir)
	case s.readOnly:
		return fmt.Errorf("%s: %w: %s; use another with --store DIR", doing, ErrReadOnly, s.dir)
	}
	return nil
}
