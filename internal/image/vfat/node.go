package vfat

import (
	"fmt"
	"time"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// node is a folder or a file.
type node struct {
	path     string
	name     name
	dir      bool
	size     int64
	digest   tree.Digest
	time     stamp
	parent   *node
	children []*node
	entries  int // directory entries of 32 bytes that a folder needs

	first, count uint32 // clusters
}

// maxDir is the largest folder: fatgen103, 6.
const maxDir = 2 << 20

// newTree makes the nodes of a manifest and the names of each folder.
func newTree(m *tree.Manifest, opt image.Options, labeled bool) (*node, error) {
	root := &node{path: ".", dir: true}
	root.time = newStamp(0)
	folders := map[string]*node{".": root}
	for i := range m.Entries {
		e := &m.Entries[i]
		sec, _ := opt.Time(e)
		if e.Path == "." {
			root.time = newStamp(sec)
			continue
		}
		n, err := newNode(e, sec)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", e.Path, err)
		}
		if n == nil {
			continue
		}
		if n.parent = folders[tree.Parent(e.Path)]; n.parent == nil {
			return nil, fmt.Errorf("%q: the tree lacks the folder that it lies in", e.Path)
		}
		n.parent.children = append(n.parent.children, n)
		if n.dir {
			folders[e.Path] = n
		}
	}
	var err error
	root.walk(func(n *node) {
		if n.dir && err == nil {
			err = n.nameChildren(labeled)
		}
	})
	return root, err
}

func newNode(e *tree.Entry, sec int64) (*node, error) {
	n := &node{path: e.Path, dir: e.Type == tree.Dir, size: e.Size, digest: e.Digest, time: newStamp(sec)}
	switch e.Type {
	case tree.Dir, tree.File:
	case tree.Socket:
		return nil, nil
	case tree.Symlink:
		return nil, fmt.Errorf("a FAT has no symbolic links (this one leads to %q); put the file itself there", e.Target)
	default:
		return nil, fmt.Errorf("a FAT has no entries of type %q", byte(e.Type))
	}
	if e.Size > MaxFile {
		return nil, fmt.Errorf("%d bytes are more than the 4 GiB - 1 that a file of a FAT can have", e.Size)
	}
	return n, nil
}

func (n *node) nameChildren(labeled bool) error {
	if err := nameAll(n.children); err != nil {
		return err
	}
	if n.parent != nil {
		n.entries = 2 // . and ..
	} else if labeled {
		n.entries = 1
	}
	for _, c := range n.children {
		n.entries += c.name.entries()
	}
	if n.entries*32 > maxDir {
		return fmt.Errorf("%q: its names need %d bytes, and a folder of a FAT holds %d; spread them over several folders",
			n.path, n.entries*32, maxDir)
	}
	return nil
}

// walk visits a node and all below, each folder before what it holds.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.walk(visit)
	}
}

// clusters that the node takes: a folder at least one, but for the root of
// FAT12 and FAT16, which has a place of its own; an empty file none.
func (n *node) clusters(g *geometry) uint32 {
	bytes := n.size
	if n.dir {
		if n.parent == nil && g.bits != 32 {
			return 0
		}
		bytes = int64(max(n.entries, 1)) * 32
	}
	return uint32((bytes + g.clusterSize() - 1) / g.clusterSize())
}

func (n *node) total(g *geometry) (clusters int64) {
	n.walk(func(n *node) { clusters += int64(n.clusters(g)) })
	return clusters
}

// stamp is a time as a directory entry has it: fatgen103, 6.3.
type stamp struct {
	date, time uint16
	tenths     byte // of the odd second, 0..199
}

var (
	firstTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastTime  = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC).Unix()
)

func newStamp(sec int64) stamp {
	t := time.Unix(min(max(sec, firstTime), lastTime), 0).UTC()
	return stamp{
		date:   uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day()),
		time:   uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2),
		tenths: byte(t.Second()%2) * 100,
	}
}

// unix is the time of last writing, in seconds; 0 when there is none.
func (s stamp) unix() int64 {
	if s.date == 0 {
		return 0
	}
	return time.Date(1980+int(s.date>>9), time.Month(s.date>>5&15), int(s.date&31),
		int(s.time>>11), int(s.time>>5&63), int(s.time&31)*2, 0, time.UTC).Unix()
}
