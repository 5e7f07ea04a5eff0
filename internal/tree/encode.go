package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
)

// The encoded form of a manifest:
//
//	magic "slipway tree\n", one version byte
//	uvarint number of entries
//	the entries, in the order of Less
//	SHA-256 of everything before it
//
// An entry is: path, type byte, mode, uid, gid, time (zigzag), nanoseconds,
// then size and 32-byte digest of a File, target of a Symlink, major and minor
// of a device, then the number of extended attributes with name and value
// sorted by name, then the hard link's target or an empty string. Numbers are
// minimal uvarints, strings a length and bytes. One manifest has exactly one
// encoding.
const (
	magic   = "slipway tree\n"
	version = 1
)

// AppendEntry appends the encoding of one entry. It is exported for the
// indexes of packs, which hold entries in another order.
func AppendEntry(b []byte, e *Entry) []byte {
	b = appendString(b, e.Path)
	b = append(b, byte(e.Type))
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.MTime)
	b = binary.AppendUvarint(b, uint64(e.MNsec))
	switch e.Type {
	case File:
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = append(b, e.Digest[:]...)
	case Symlink:
		b = appendString(b, e.Target)
	case Char, Block:
		b = binary.AppendUvarint(b, uint64(e.Major))
		b = binary.AppendUvarint(b, uint64(e.Minor))
	}
	b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
	if len(e.Xattrs) > 0 {
		for _, k := range slices.Sorted(maps.Keys(e.Xattrs)) {
			b = appendString(appendString(b, k), e.Xattrs[k])
		}
	}
	return appendString(b, e.Link)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (m *Manifest) marshal() []byte {
	b := make([]byte, 0, 64+len(m.Entries)*112)
	b = append(b, magic...)
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(m.Entries)))
	for i := range m.Entries {
		b = AppendEntry(b, &m.Entries[i])
	}
	return b
}

// Encode writes the manifest in its one binary form. The manifest must be
// sorted and valid; an invalid one is an error and nothing is written.
func (m *Manifest) Encode(w io.Writer) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	b := m.marshal()
	sum := sha256.Sum256(b)
	if _, err := w.Write(append(b, sum[:]...)); err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	return nil
}

// Digest names the tree: the SHA-256 of the encoded form (without its
// checksum). Equal trees have equal digests, and the manifest must be sorted.
func (m *Manifest) Digest() Digest { return sha256.Sum256(m.marshal()) }
