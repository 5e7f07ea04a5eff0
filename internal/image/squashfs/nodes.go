package squashfs

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"slipway/internal/tree"
)

const (
	maxName   = 255  // NAME_MAX of Linux
	maxTarget = 4095 // PATH_MAX of Linux without the NUL
)

// node is one inode.
type node struct {
	e        *tree.Entry
	number   uint32 // from 1
	links    uint32
	ref      uint64 // where the inode is
	written  bool
	file     *file // of a File that is not empty
	parent   *node // of a Dir
	children []child
	listing  listing
}

// child is a name in a folder.
type child struct {
	name string
	*node
}

// nodes is a tree as inodes.
type nodes struct {
	dirs  []*node // folders before what is in them
	count uint32
	byDir map[string]*node
}

// newNodes makes inodes of the entries, and numbers them in the order in which
// they are written: folders behind what is in them, the names of one folder
// together.
func newNodes(m *tree.Manifest, all *contents) (*nodes, error) {
	n := &nodes{byDir: make(map[string]*node)}
	first := make(map[string]*node) // of hard-link groups
	for i := range m.Entries {
		if l := m.Entries[i].Link; l != "" {
			first[l] = nil
		}
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := check(e); err != nil {
			return nil, fmt.Errorf("%q: %w", e.Path, err)
		}
		if e.Type == tree.Dir {
			n.dir(e.Path, e)
			continue
		}
		x := first[e.Link]
		if e.Link == "" {
			x = &node{e: e}
			if e.Type == tree.File && e.Size > 0 {
				x.file = all.byDigest[e.Digest]
			}
		}
		if _, group := first[e.Path]; group {
			first[e.Path] = x
		}
		x.links++
		n.dir(tree.Parent(e.Path), nil).add(e.Path, x)
	}
	n.dir(".", nil)
	n.assign()
	return n, nil
}

// check tells what the format, or the kernel's reader of it, cannot hold.
func check(e *tree.Entry) error {
	switch {
	case len(path.Base(e.Path)) > maxName:
		return fmt.Errorf("the name has more than %d bytes", maxName)
	case len(e.Target) > maxTarget:
		return fmt.Errorf("the target of the symbolic link has more than %d bytes", maxTarget)
	case e.Major >= 1<<12 || e.Minor >= 1<<20:
		return fmt.Errorf("the device number %d:%d is beyond the format's 4095:1048575", e.Major, e.Minor)
	}
	return nil
}

// dir gives the inode of a folder. An entry is nil when the folder is only
// implied, which an entry for it does not follow: manifests are sorted.
func (n *nodes) dir(p string, e *tree.Entry) *node {
	if d, ok := n.byDir[p]; ok {
		return d
	}
	if e == nil {
		e = &tree.Entry{Path: p, Type: tree.Dir, Mode: 0o755}
	}
	d := &node{e: e, links: 2}
	n.byDir[p] = d
	if p != "." {
		d.parent = n.dir(tree.Parent(p), nil)
		d.parent.links++
		d.parent.add(p, d)
	}
	n.dirs = append(n.dirs, d)
	return d
}

func (d *node) add(p string, x *node) { d.children = append(d.children, child{path.Base(p), x}) }

// assign sorts the folders, as the format demands, and gives the numbers.
func (n *nodes) assign() {
	for _, d := range slices.Backward(n.dirs) {
		slices.SortFunc(d.children, func(a, b child) int { return cmp.Compare(a.name, b.name) })
		for _, c := range d.children {
			if c.number == 0 {
				n.count++
				c.number = n.count
			}
		}
	}
	n.count++
	n.root().number = n.count
}

func (n *nodes) root() *node { return n.byDir["."] }
