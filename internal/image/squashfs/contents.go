package squashfs

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"slipway/internal/tree"
)

const (
	noFragment = ^uint32(0)
	stored     = 1 << 24 // in the size of a block: it is not compressed

	fragmentEntry = 16 // bytes of an entry of the fragment table
)

// file is one content, shared by all inodes that have it.
type file struct {
	name   string // of the first entry, for errors and to find neighbours
	digest tree.Digest
	size   int64

	start    uint64   // of the first block
	blocks   []uint32 // their sizes; 0: zeros
	sparse   int64    // bytes that are in blocks of zeros
	fragment uint32   // index of the one with all of it, or noFragment
	offset   uint32   // in the fragment
}

// contents are all contents of a tree, each once.
type contents struct {
	byDigest map[tree.Digest]*file
	order    []*file // by the path of the first entry
}

// collect lists the contents of a manifest.
func collect(m *tree.Manifest) (*contents, error) {
	c := &contents{byDigest: make(map[tree.Digest]*file)}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type != tree.File || e.Size == 0 {
			continue
		}
		if f, seen := c.byDigest[e.Digest]; !seen {
			f = &file{name: e.Path, digest: e.Digest, size: e.Size, fragment: noFragment}
			c.byDigest[e.Digest] = f
			c.order = append(c.order, f)
		} else if f.size != e.Size {
			return nil, fmt.Errorf("%q and %q have one digest but %d and %d bytes", f.name, e.Path, f.size, e.Size)
		}
	}
	return c, nil
}

// unit is what one goroutine reads: a file of at least a block, or the files
// that share a fragment.
type unit struct {
	files    []*file
	fragment bool
}

// units is the order of contents in the image. Larger files come first, in
// path order, with a short block at their ends. Smaller ones follow, those of
// one kind together, since they compress better so.
func (c *contents) units(blockSize int) (out []unit) {
	var small []*file
	for _, f := range c.order {
		if f.size < int64(blockSize) {
			small = append(small, f)
			continue
		}
		out = append(out, unit{files: []*file{f}})
	}
	slices.SortStableFunc(small, func(a, b *file) int { return cmp.Compare(path.Ext(a.name), path.Ext(b.name)) })
	begin, fill := 0, int64(0)
	fragment := uint32(0)
	for i, f := range small {
		if fill+f.size > int64(blockSize) {
			out = append(out, unit{small[begin:i], true})
			begin, fill = i, 0
			fragment++
		}
		f.fragment, f.offset = fragment, uint32(fill)
		fill += f.size
	}
	if begin < len(small) {
		out = append(out, unit{small[begin:], true})
	}
	return out
}
