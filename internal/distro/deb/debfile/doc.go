// Package debfile reads Debian binary packages (deb(5)) and writes what they
// hold into a pack: the data member's entries in archive order, and the
// members of the control archive.
//
// It reads format 2.0 with control and data members compressed by gzip, xz,
// zstd, bzip2 or lzma, or not at all, as a stream. It does not install
// anything, does not follow links and never touches the file system that the
// package is meant for; what the names mean there is judged at install time.
// Packages are foreign bytes: every size is bounded by Limits, and an error
// names the package and the member.
package debfile

import (
	"errors"
	"fmt"
	"io"

	"slipway/internal/distro/archived"
	"slipway/internal/tree"
)

// Names of the control members that this package adds to a pack. dpkg ignores
// control members with a dot in their name, so they can mean nothing else.
const (
	// OwnersMember lists entries whose owner or group is not named root, one
	// per line: index in the pack, user, group, separated by tabs. dpkg
	// resolves owners by name in the target system when it knows the name.
	OwnersMember = "slipway.owners"
	// SumsMember is what dpkg writes as md5sums for a package without that
	// member (deb-md5sums(5)).
	SumsMember = "slipway.md5sums"
)

// Sink takes a package's content. Add is called in archive order. A hard link
// is a tree.File with Link set to the entry it links to, and no content; for
// other files content gives exactly Entry.Size bytes, and must be read before
// Add returns. For anything else content is nil.
type Sink interface {
	Add(e tree.Entry, content io.Reader) error
	AddControl(name string, mode uint32, mtime int64, data []byte) error
}

// Want is what the index said about a package; empty fields are not compared.
type Want struct {
	Package, Version, Architecture string
}

// Limits bound what a package may contain.
type Limits = archived.Limits

// DefaultLimits hold for every package in Debian with room to spare: the
// largest unpacks to some 5 GB, and has some 120,000 entries.
var DefaultLimits = Limits{Entries: 2 << 20, Total: 64 << 30, Ratio: 2000, Path: 4095, Control: 64 << 20}

var (
	// ErrFormat is wrapped when the bytes are no package of a known format.
	ErrFormat = errors.New("not a Debian package this program can read")
	// ErrLimit is wrapped when a package is larger than Limits allow.
	ErrLimit = errors.New("over the limit for a package")
	// ErrMismatch is wrapped when the package is another than was wanted.
	ErrMismatch = errors.New("another package than the index says")
)

// Error says which package and which member could not be read.
type Error struct {
	Package string // name of the file, or of the package once it is known
	Member  string // member of the ar archive; "" when the archive itself is broken
	Err     error
}

func (e *Error) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("reading package %s: %v", e.Package, e.Err)
	}
	return fmt.Sprintf("reading %s of package %s: %v", e.Member, e.Package, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
