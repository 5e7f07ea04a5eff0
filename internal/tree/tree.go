// Package tree describes a root filesystem as data: a sorted manifest of
// entries over content that is addressed by its SHA-256.
//
// A manifest carries ownership, devices and hard links without needing root;
// folders on disk are disposable materialisations of it.
package tree

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is the SHA-256 of some content.
type Digest [sha256.Size]byte

// String is the lower-case hexadecimal form.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Type is the kind of an entry.
type Type byte

// The kinds of entries.
const (
	File    Type = 'f'
	Dir     Type = 'd'
	Symlink Type = 'l'
	Char    Type = 'c'
	Block   Type = 'b'
	Fifo    Type = 'p'
	Socket  Type = 's'
)

// Entry is one name in a tree.
type Entry struct {
	Path   string // relative, slash-separated, no leading slash; "." is the root
	Type   Type
	Mode   uint32 // permission bits with setuid, setgid and sticky (07777)
	UID    uint32 // as seen inside the machine
	GID    uint32
	MTime  int64 // seconds since the epoch
	MNsec  uint32
	Size   int64  // of a File
	Digest Digest // of a File's content
	Target string // of a Symlink
	Major  uint32 // of Char and Block
	Minor  uint32
	Xattrs map[string]string // security.capability is kept in its version 2 form
	// Link is, for every member of a hard-link group but the first in path
	// order, the path of that first member. Such an entry repeats its
	// attributes.
	Link string
}

// Manifest is a whole tree (or a layer), sorted by Path bytewise with "." first.
type Manifest struct {
	Entries []Entry
}
