package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A fresh layer carries a file "boot" with the id of the boot that wrote it.
// The page cache is coherent for as long as that boot lasts; afterwards the
// layer counts only if Flush brought it to the disk, and took the mark away.

var bootID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})

// markBoot marks a staged layer. Where boots cannot be told apart the disk is
// waited for at once.
func (s *Store) markBoot(stage string) error {
	id := bootID()
	if id == "" {
		return s.explain("syncing the store", s.syncfs())
	}
	name := filepath.Join(stage, "boot")
	if err := os.WriteFile(name, []byte(id+"\n"), 0o600); err != nil {
		return s.explain("writing a layer", err)
	}
	return s.own(name)
}

// layerWhole reports whether a layer has its folder and survived the last
// boot.
func (s *Store) layerWhole(key string) bool {
	if st, err := os.Lstat(s.path("trees", key)); err != nil || !st.IsDir() {
		return false
	}
	return ofThisBoot(s.layerPath(key, "boot"))
}

// ofThisBoot reports whether what a mark belongs to survived the last boot: it
// was flushed, so that there is no mark, or nothing has stopped since.
func ofThisBoot(mark string) bool {
	b, err := os.ReadFile(mark)
	return errors.Is(err, os.ErrNotExist) || err == nil && strings.TrimSpace(string(b)) == bootID()
}

// Flush waits until every committed layer is on the disk, so that a power cut
// or a reboot does not cost it. It returns at once when there is nothing to
// do. Call it when the work is done, so that the disk never delays it.
func (s *Store) Flush() error {
	if s.readOnly {
		return nil
	}
	marks, err := filepath.Glob(s.path("layers", "*", "boot"))
	if err != nil {
		return err
	}
	var fresh []string
	for _, m := range marks {
		if s.layerWhole(filepath.Base(filepath.Dir(m))) {
			fresh = append(fresh, m)
		}
	}
	for part := range madeNames {
		if marks, err = filepath.Glob(s.path(part, "*", "boot")); err != nil {
			return err
		}
		for _, m := range marks {
			if s.madeWhole(part, filepath.Base(filepath.Dir(m))) {
				fresh = append(fresh, m)
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := s.syncfs(); err != nil {
		return s.explain("syncing the store", err)
	}
	for _, m := range fresh {
		err = errors.Join(err, ignoreNotExist(os.Remove(m)))
	}
	return s.explain("syncing the store", err)
}
