// Package tarball is the family of machines whose base is an archive of a root
// file system (from: rootfs.tar.xz): it takes the archive as the one package of
// the base, and installs no other.
//
// It reads plain, gzip, xz and zstd archives in the ustar, pax and GNU forms.
// What could leave the tree, what could reach the host's hardware and what
// unpacks to far more than its size is refused before anything is in the store.
// It keeps names, owners, modes, times, links, extended attributes and the
// device nodes of a plain /dev; SELinux labels are left out, since the policy
// that they belong to is not loaded where the tree is made. The package does
// not know what packs the packages in the tree: it asks those who do.
package tarball

import (
	"errors"

	"slipway/internal/distro/archived"
)

var (
	// ErrFormat is wrapped when the bytes are no archive that can become a tree.
	ErrFormat = errors.New("not a root archive this program can use")
	// ErrLimit is wrapped when an archive is larger than Limits allow.
	ErrLimit = errors.New("over the limit for a root archive")
)

// Limits bound what an archive may contain; Control means nothing here.
type Limits = archived.Limits

// DefaultLimits hold for root archives of every distribution with room to spare.
var DefaultLimits = Limits{Entries: 2 << 20, Total: 64 << 30, Ratio: 200, Path: 4095}
