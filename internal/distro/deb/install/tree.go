package install

import (
	"slipway/internal/distro/intree"
	"slipway/internal/tree"
)

// Files are put into the tree by package intree; here are its words.
type (
	root  = intree.Root
	dir   = intree.Dir
	attrs = intree.Attrs
)

// Devices lists the device nodes that were left out, because a user namespace
// may not make any. They belong in the manifest.
func (in *Installer) Devices() []tree.Entry { return in.root.Devices() }
