package squashfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/tree"
)

// entryCost is about what an entry takes in memory beside its strings.
const entryCost = 256

// walker collects the names of an image.
type walker struct {
	*source
	names  []named
	inodes map[uint64]*inode   // by reference, but for folders
	seen   map[uint64]struct{} // references of folders
}

type named struct {
	path string
	*inode
}

// walk reads all names, in any order.
func (s *source) walk() (*walker, error) {
	w := &walker{source: s, inodes: make(map[uint64]*inode), seen: make(map[uint64]struct{})}
	type folder struct {
		path string
		ref  uint64
	}
	for todo := []folder{{".", s.sb.root}}; len(todo) > 0; {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		err := w.folder(f.path, f.ref, func(path string, ref uint64) { todo = append(todo, folder{path, ref}) })
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.path, err)
		}
	}
	return w, nil
}

// folder reads a folder and what is in it; more is called for the folders
// there.
func (w *walker) folder(path string, ref uint64, more func(string, uint64)) error {
	if _, again := w.seen[ref]; again {
		return errors.New("this folder is in two places")
	}
	w.seen[ref] = struct{}{}
	n, err := w.inode(ref)
	if err != nil {
		return err
	}
	if n.Type != tree.Dir {
		return errors.New("is said to be a folder but is none")
	}
	if err := w.add(path, n); err != nil {
		return err
	}
	prefix := ""
	if path != "." {
		prefix = path + "/"
	}
	return w.list(n, func(name string, ref uint64, t uint16) error {
		if strings.Contains(name, "/") || !tree.ValidPath(prefix+name) {
			return fmt.Errorf("name %q", name)
		}
		if t == typeDir {
			more(prefix+name, ref)
			return w.spend(entryCost)
		}
		x, known := w.inodes[ref]
		if !known {
			if x, err = w.inode(ref); err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
			w.inodes[ref] = x
		}
		if types[x.Type] != t {
			return fmt.Errorf("%q is of type %q, not %d", name, byte(x.Type), t)
		}
		return w.add(prefix+name, x)
	})
}

// list reads a listing.
func (w *walker) list(n *inode, each func(name string, ref uint64, t uint16) error) error {
	left := int64(n.dir.size) - listingPad
	for c := w.cursor(w.sb.dirTable, n.dir.ref); left > 0; {
		count := c.u32()
		block := uint64(c.u32())
		c.u32() // number
		left -= dirHead
		if count >= maxRun && c.err == nil {
			c.err = fmt.Errorf("%d names behind one header", count)
		}
		for ; c.err == nil; count-- {
			off := uint64(c.u16())
			c.u16() // number
			t, size := c.u16(), int(c.u16())+1
			left -= int64(dirName + size)
			if size > maxName+1 {
				return fmt.Errorf("a name of %d bytes", size)
			}
			name := c.str(size)
			if c.err != nil {
				break
			}
			if err := each(name, block<<16|off, t); err != nil {
				return err
			}
			if count == 0 {
				break
			}
		}
		if c.err != nil {
			return c.err
		}
	}
	if left < 0 && n.dir.size > listingPad {
		return fmt.Errorf("the listing of %d bytes ends in a name", n.dir.size)
	}
	return nil
}

// add notes a name.
func (w *walker) add(path string, n *inode) error {
	if len(w.names) >= tree.MaxEntries {
		return fmt.Errorf("more than %d names", tree.MaxEntries)
	}
	w.names = append(w.names, named{path, n})
	return w.spend(len(path) + entryCost)
}

// manifest makes a manifest when the contents are known; the names of one
// inode are a hard-link group.
func (w *walker) manifest() (*tree.Manifest, error) {
	slices.SortFunc(w.names, func(a, b named) int {
		switch {
		case tree.Less(a.path, b.path):
			return -1
		case tree.Less(b.path, a.path):
			return 1
		}
		return 0
	})
	m := &tree.Manifest{Entries: make([]tree.Entry, len(w.names))}
	first := make(map[*inode]string)
	for i, n := range w.names {
		e := &m.Entries[i]
		*e = n.Entry
		e.Path, e.Digest = n.path, n.file.digest
		if p, again := first[n.inode]; again {
			e.Link = p
		} else {
			first[n.inode] = n.path
		}
	}
	return m, m.Validate()
}
