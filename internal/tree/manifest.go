package tree

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Limits that hold for every manifest, wherever it comes from. They are far
// above what a real system needs and bound what a decoder may allocate.
const (
	MaxEntries = 16 << 20 // names in one tree
	MaxPath    = 64 << 10 // bytes of a path or a link target
	MaxXattrs  = 1 << 10  // attributes of one entry
	MaxXattr   = 64 << 10 // bytes of one attribute value (XATTR_SIZE_MAX)
)

// Less is the order of a manifest: bytewise by path, with the root first. A
// folder therefore always comes before what it contains.
func Less(a, b string) bool {
	if a == "." || b == "." {
		return a == "." && b != "."
	}
	return a < b
}

// Sort puts the entries in the order of Less. It does not touch Link fields.
func (m *Manifest) Sort() {
	es := m.Entries
	less := func(i, j int) bool { return Less(es[i].Path, es[j].Path) }
	if !sort.SliceIsSorted(es, less) {
		sort.SliceStable(es, less)
	}
}

// Lookup finds the entry of a path in a sorted manifest; nil when there is
// none. The pointer is into Entries.
func (m *Manifest) Lookup(path string) *Entry {
	es := m.Entries
	i := sort.Search(len(es), func(i int) bool { return !Less(es[i].Path, path) })
	if i < len(es) && es[i].Path == path {
		return &es[i]
	}
	return nil
}

// ValidPath reports whether a path is in the form that entries use: "." or
// slash-separated components, none of them empty, "." or "..", without NUL.
func ValidPath(p string) bool {
	if p == "." {
		return true
	}
	if p == "" || len(p) > MaxPath || strings.IndexByte(p, 0) >= 0 {
		return false
	}
	for rest := p; ; {
		part, more, found := strings.Cut(rest, "/")
		if part == "" || part == "." || part == ".." {
			return false
		}
		if !found {
			return true
		}
		rest = more
	}
}

// Parent is the path of the folder that holds p; "." for names at the top and
// for the root itself.
func Parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return "."
}

// Validate checks one entry by itself. Fields that do not belong to its type
// must be zero, so that equal trees are equal bytes.
func (e *Entry) Validate() error {
	if err := e.validate(); err != nil {
		return fmt.Errorf("entry %q: %w", e.Path, err)
	}
	return nil
}

func (e *Entry) validate() error {
	switch {
	case !ValidPath(e.Path):
		return errors.New("path is empty, too long or not clean")
	case e.Mode&^uint32(07777) != 0:
		return fmt.Errorf("mode %#o has bits beyond 07777", e.Mode)
	case e.MNsec >= 1e9:
		return fmt.Errorf("%d nanoseconds are more than a second", e.MNsec)
	case e.Path == "." && e.Type != Dir:
		return errors.New("the root is not a folder")
	case len(e.Xattrs) > MaxXattrs:
		return fmt.Errorf("%d extended attributes are more than %d", len(e.Xattrs), MaxXattrs)
	}
	for k, v := range e.Xattrs {
		if k == "" || len(k) > 255 || strings.IndexByte(k, 0) >= 0 || len(v) > MaxXattr {
			return fmt.Errorf("extended attribute %q: bad name or more than %d bytes", k, MaxXattr)
		}
	}
	return e.validateKind()
}

func (e *Entry) validateKind() error {
	file, device := e.Type == File, e.Type == Char || e.Type == Block
	switch e.Type {
	case File, Dir, Char, Block, Fifo, Socket:
		if e.Target != "" {
			return errors.New("has a target but is no symbolic link")
		}
	case Symlink:
		if e.Target == "" || len(e.Target) > MaxPath || strings.IndexByte(e.Target, 0) >= 0 {
			return errors.New("symbolic link without a usable target")
		}
	default:
		return fmt.Errorf("unknown type %q", byte(e.Type))
	}
	switch {
	case e.Size < 0 || !file && e.Size != 0:
		return fmt.Errorf("size %d", e.Size)
	case !file && e.Digest != Digest{}:
		return errors.New("has a digest but is no file")
	case !device && (e.Major != 0 || e.Minor != 0):
		return errors.New("has a device number but is no device")
	case e.Link != "" && (e.Type == Dir || !ValidPath(e.Link)):
		return errors.New("bad hard link")
	}
	return nil
}

// Validate checks the whole manifest: every entry, the order, that no path
// occurs twice, that what holds a name is a folder, and that hard links name
// the first member of their group.
//
// A missing parent is not an error: a layer may hold only what it adds.
func (m *Manifest) Validate() error {
	if len(m.Entries) > MaxEntries {
		return fmt.Errorf("manifest of %d entries: more than %d", len(m.Entries), MaxEntries)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := e.Validate(); err != nil {
			return err
		}
		if i > 0 && !Less(m.Entries[i-1].Path, e.Path) {
			return fmt.Errorf("entry %q: not sorted behind %q, or there twice", e.Path, m.Entries[i-1].Path)
		}
	}
	return m.validateLinks()
}

func (m *Manifest) validateLinks() error {
	lastParent := "."
	for i := range m.Entries {
		e := &m.Entries[i]
		if p := Parent(e.Path); p != lastParent {
			if up := m.Lookup(p); up != nil && up.Type != Dir {
				return fmt.Errorf("entry %q: lies below %q, which is no folder", e.Path, p)
			}
			lastParent = p
		}
		if e.Link == "" {
			continue
		}
		first := m.Lookup(e.Link)
		switch {
		case first == nil || !Less(e.Link, e.Path) || first.Link != "":
			return fmt.Errorf("entry %q: hard link to %q, which is not the first of its group", e.Path, e.Link)
		case first.Type != e.Type || first.Digest != e.Digest || first.Size != e.Size:
			return fmt.Errorf("entry %q: differs from %q, to which it is a hard link", e.Path, e.Link)
		}
	}
	return nil
}

// Size is the sum of the file sizes, a hard-link group counted once.
func (m *Manifest) Size() int64 {
	var n int64
	for i := range m.Entries {
		if m.Entries[i].Link == "" {
			n += m.Entries[i].Size
		}
	}
	return n
}

// Clamp makes no time newer than epoch (seconds): a later one becomes epoch,
// and the nanoseconds of every entry are dropped, since not every image format
// can hold them and package archives have none.
func Clamp(m *Manifest, epoch int64) {
	for i := range m.Entries {
		e := &m.Entries[i]
		e.MTime, e.MNsec = min(e.MTime, epoch), 0
	}
}
