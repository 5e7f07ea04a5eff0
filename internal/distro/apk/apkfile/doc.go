// Package apkfile reads Alpine packages of format 2 and writes what they hold
// into a pack: the data segment's entries in archive order, and the members of
// the control segment.
//
// A package is two or three gzip streams back to back, each a tar archive
// without an end mark but for the last: signatures, control, data. The SHA-1 of
// the control stream is the package's identity, by which a signed index names
// it; the control holds the SHA-256 of the data stream; and each file of the
// data has a SHA-1 of its own (apk-package(5)). Format 3 (ADB) is refused by
// name. The package installs nothing and follows no links; every size is
// bounded by Limits, and an error names the package and the segment.
package apkfile

import (
	"errors"
	"fmt"

	"slipway/internal/distro/archived"
)

// Names of the control members of a pack. Scripts keep their names without the
// leading dot ("pre-install").
const (
	InfoMember     = "PKGINFO"
	IdentityMember = "slipway.identity"
	OwnersMember   = "slipway.owners" // index, user, group, by tabs: entries that are not root's
	SumsMember     = "slipway.sums"   // index, SHA-1 in hex: what the archive says of files and links
)

// Scripts are the members that apk runs, in the order in which its database
// keeps them.
var Scripts = []string{"pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade", "trigger"}

var (
	// ErrFormat is wrapped when the bytes are no package of a known format.
	ErrFormat = errors.New("not an Alpine package this program can read")
	// ErrLimit is wrapped when a package is larger than Limits allow.
	ErrLimit = errors.New("over the limit for a package")
	// ErrMismatch is wrapped when a package is another than the index says, or
	// its parts do not belong together.
	ErrMismatch = errors.New("another package than the index says")
	// ErrSignature is wrapped when no trusted key has signed.
	ErrSignature = errors.New("no valid signature by a trusted key")
	// ErrStranger is wrapped beside it when that is because there is no signature
	// at all, or only ones by keys that are not known: nothing proves it wrong.
	ErrStranger = errors.New("nobody known has signed it")
)

// Error says which package and which segment could not be read.
type Error struct {
	Package, Segment string
	Err              error
}

func (e *Error) Error() string {
	if e.Segment == "" {
		return fmt.Sprintf("reading package %s: %v", e.Package, e.Err)
	}
	return fmt.Sprintf("reading the %s segment of package %s: %v", e.Segment, e.Package, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Limits bound what a package may contain.
type Limits = archived.Limits

// DefaultLimits hold for every package in Alpine with room to spare.
var DefaultLimits = Limits{Entries: 2 << 20, Total: 64 << 30, Ratio: 2000, Path: 4086, Control: 64 << 20}
