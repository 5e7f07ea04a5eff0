package mkfs

import (
	"errors"
	"fmt"
	"strings"

	"slipway/internal/tree"
)

// compare holds the promise: what lies in the volume is the tree.
func compare(want, got *tree.Manifest) error {
	if want.Digest() == got.Digest() {
		return nil
	}
	all := tree.Compare(want, got)
	if len(all) == 0 {
		return errors.New("what was read back has another digest than the tree")
	}
	d := all[0]
	what := map[tree.Change]string{tree.Removed: "is not there", tree.Added: "was never asked for"}[d.Change]
	if what == "" {
		var attrs []string
		for _, a := range d.Attrs {
			attrs = append(attrs, string(a))
		}
		what = "has another " + strings.Join(attrs, ", ")
	}
	return fmt.Errorf("what was read back differs from the tree: /%s %s (%d paths differ)", d.Path, what, len(all))
}
