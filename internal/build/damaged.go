package build

import (
	"errors"
	"fmt"

	"slipway/internal/plan"
	"slipway/internal/store"
)

// dropDamaged looks, after a build failed, for unpacked packages whose bytes
// rotted in the store. They are removed, and said, so that the next try makes
// them anew from the packages. It reports whether there were any.
func (b *Builder) dropDamaged(packages []plan.Package) bool {
	found := false
	for _, pkg := range packages {
		if !b.Store.HasPack(pkg.SHA256) || !damaged(b.Store, pkg.SHA256) {
			continue
		}
		if err := b.Store.RemovePack(pkg.SHA256); err != nil {
			b.Progress.Note(fmt.Sprintf("the stored contents of %s are damaged and cannot be removed: %v", pkg.ID(), err))
			continue
		}
		b.Progress.Note(fmt.Sprintf("the stored contents of %s are damaged; unpacking it again", pkg.ID()))
		found = true
	}
	return found
}

// damaged reads a whole pack.
func damaged(s *store.Store, sha256 string) bool {
	var corrupt *store.CorruptError
	pack, err := s.OpenPack(sha256)
	if err != nil {
		return errors.As(err, &corrupt)
	}
	defer pack.Close()
	return errors.As(pack.Verify(), &corrupt)
}
