package tree

import (
	"maps"
	"slices"
)

// Change is the kind of a Difference.
type Change string

// The kinds of differences.
const (
	Added   Change = "added"   // only in the second tree
	Removed Change = "removed" // only in the first
	Changed Change = "changed"
)

// Attribute names what differs between two entries of one path.
type Attribute string

// The attributes of an entry. A changed type hides what only the types'
// fields differ in.
const (
	AttrType    Attribute = "type"
	AttrMode    Attribute = "mode"
	AttrUID     Attribute = "uid"
	AttrGID     Attribute = "gid"
	AttrMTime   Attribute = "mtime"
	AttrSize    Attribute = "size"
	AttrContent Attribute = "content"
	AttrTarget  Attribute = "target"
	AttrDevice  Attribute = "device"
	AttrXattrs  Attribute = "xattrs"
	AttrLink    Attribute = "link" // which names share one file
)

// Difference is one path in which two trees differ.
type Difference struct {
	Path   string
	Change Change
	Attrs  []Attribute // of Changed, in the order above
	A, B   *Entry      // nil on the side that has no such path
}

// Has reports whether an attribute is among those that changed.
func (d *Difference) Has(a Attribute) bool { return slices.Contains(d.Attrs, a) }

// Compare lists the differences of two sorted manifests in path order.
func Compare(a, b *Manifest) []Difference {
	var out []Difference
	i, j := 0, 0
	for i < len(a.Entries) || j < len(b.Entries) {
		switch {
		case j == len(b.Entries) || i < len(a.Entries) && Less(a.Entries[i].Path, b.Entries[j].Path):
			out = append(out, Difference{Path: a.Entries[i].Path, Change: Removed, A: &a.Entries[i]})
			i++
		case i == len(a.Entries) || Less(b.Entries[j].Path, a.Entries[i].Path):
			out = append(out, Difference{Path: b.Entries[j].Path, Change: Added, B: &b.Entries[j]})
			j++
		default:
			ea, eb := &a.Entries[i], &b.Entries[j]
			if attrs := compareEntries(ea, eb); attrs != nil {
				out = append(out, Difference{Path: ea.Path, Change: Changed, Attrs: attrs, A: ea, B: eb})
			}
			i, j = i+1, j+1
		}
	}
	return out
}

func compareEntries(a, b *Entry) (attrs []Attribute) {
	differ := func(name Attribute, yes bool) {
		if yes {
			attrs = append(attrs, name)
		}
	}
	same := a.Type == b.Type
	differ(AttrType, !same)
	differ(AttrMode, a.Mode != b.Mode)
	differ(AttrUID, a.UID != b.UID)
	differ(AttrGID, a.GID != b.GID)
	differ(AttrMTime, a.MTime != b.MTime || a.MNsec != b.MNsec)
	differ(AttrSize, same && a.Size != b.Size)
	differ(AttrContent, same && a.Digest != b.Digest)
	differ(AttrTarget, same && a.Target != b.Target)
	differ(AttrDevice, same && (a.Major != b.Major || a.Minor != b.Minor))
	differ(AttrXattrs, !maps.Equal(a.Xattrs, b.Xattrs))
	differ(AttrLink, a.Link != b.Link)
	return attrs
}
