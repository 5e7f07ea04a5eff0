package ext4

import (
	"errors"
	"fmt"
	"sort"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// node is what has an inode: the root is nodes[0], lost+found nodes[1].
type node struct {
	entry  int32 // in the manifest, the first of a hard-link group; -1: not there
	links  uint32
	xattrs int32 // 1 + the block of extended attributes; 0: none
	start  int64 // slot of the first block
	blocks int64 // of content
	tree   int64 // of the extent tree, behind the content
}

const (
	lostFound     = "lost+found"
	rootNode      = 0
	lostFoundNode = 1

	maxName     = 255
	maxLinks    = 65000 // EXT4_LINK_MAX
	maxTarget   = blockSize - 1
	fastTarget  = 59                      // bytes of a link target that fit into an inode
	maxFile     = (1<<32 - 2) * blockSize // logical block numbers have 32 bits
	maxDevMajor = 1<<12 - 1
	maxDevMinor = 1<<20 - 1
)

// inode is the number of the inode of a node.
func inode(n int) uint32 {
	if n == rootNode {
		return rootInode
	}
	return uint32(n) - lostFoundNode + lostFoundInode
}

// nodes holds a tree as inodes and folders.
type nodes struct {
	m     *tree.Manifest
	opt   image.Options
	list  []node
	of    []int32 // node of each entry
	up    []int32 // node of the folder that holds it
	kids  []int32 // entries, by folder
	first []int32 // where the kids of a node begin, and the end
	time  int64   // newest of all; what belongs to the filesystem itself is of then
}

func newNodes(m *tree.Manifest, opt image.Options) (*nodes, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if len(m.Entries) == 0 || m.Entries[0].Path != "." {
		return nil, errors.New("the tree has no root folder")
	}
	t := &nodes{m: m, opt: opt, list: []node{{links: 2}, {entry: -1, links: 2}},
		of: make([]int32, len(m.Entries)), up: make([]int32, len(m.Entries))}
	folders := map[string]int32{".": rootNode}
	for i := range m.Entries {
		if err := t.add(i, folders); err != nil {
			return nil, fmt.Errorf("%q: %w", m.Entries[i].Path, err)
		}
	}
	if t.list[lostFoundNode].entry < 0 {
		t.list[rootNode].links++
	}
	t.sortKids()
	return t, nil
}

// add gives an entry its node and counts links.
func (t *nodes) add(i int, folders map[string]int32) error {
	e := &t.m.Entries[i]
	if err := check(e, t.opt); err != nil {
		return err
	}
	sec, _ := t.opt.Time(e)
	t.time = max(t.time, sec)
	if e.Path == "." {
		return nil
	}
	up, ok := folders[tree.Parent(e.Path)]
	if !ok {
		return errors.New("the folder that holds it is not in the tree")
	}
	t.up[i] = up
	switch {
	case e.Link != "":
		n := t.nodeAt(e.Link)
		t.of[i] = n
		if t.list[n].links++; t.list[n].links > maxLinks {
			return fmt.Errorf("more than %d hard links to one file, ext4 allows no more", maxLinks)
		}
		return nil
	case e.Path == lostFound && e.Type == tree.Dir:
		t.of[i] = lostFoundNode
		t.list[lostFoundNode].entry = int32(i)
	case e.Path == lostFound:
		return errors.New("ext4 needs this name for a folder of its own; leave it out of the tree")
	default:
		t.of[i] = int32(len(t.list))
		t.list = append(t.list, node{entry: int32(i), links: 1})
	}
	if e.Type == tree.Dir {
		folders[e.Path] = t.of[i]
		t.list[t.of[i]].links = 2
		t.list[up].links++
	}
	return nil
}

// nodeAt is the node of a path that is in the tree.
func (t *nodes) nodeAt(path string) int32 {
	es := t.m.Entries
	return t.of[sort.Search(len(es), func(i int) bool { return !tree.Less(es[i].Path, path) })]
}

// sortKids lists the entries of every folder, in the order of the manifest.
func (t *nodes) sortKids() {
	t.first = make([]int32, len(t.list)+1)
	for i := 1; i < len(t.up); i++ {
		t.first[t.up[i]+1]++
	}
	for i := range t.list {
		t.first[i+1] += t.first[i]
	}
	next := append([]int32(nil), t.first...)
	t.kids = make([]int32, len(t.up)-1)
	for i := 1; i < len(t.up); i++ {
		t.kids[next[t.up[i]]] = int32(i)
		next[t.up[i]]++
	}
}

// entryOf is nil for a lost+found that is not in the tree.
func (t *nodes) entryOf(n int) *tree.Entry {
	if i := t.list[n].entry; i >= 0 {
		return &t.m.Entries[i]
	}
	return nil
}

func (t *nodes) isDir(n int) bool {
	e := t.entryOf(n)
	return e == nil || e.Type == tree.Dir
}

// check finds what ext4 cannot hold.
func check(e *tree.Entry, opt image.Options) error {
	name := e.Path
	if up := tree.Parent(name); up != "." {
		name = name[len(up)+1:]
	}
	sec, _ := opt.Time(e)
	switch {
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes, ext4 allows %d", len(name), maxName)
	case len(e.Target) > maxTarget:
		return fmt.Errorf("a link target of %d bytes, ext4 allows %d", len(e.Target), maxTarget)
	case e.Size > maxFile:
		return fmt.Errorf("a file of %d bytes, ext4 allows %d", e.Size, int64(maxFile))
	case e.Major > maxDevMajor || e.Minor > maxDevMinor:
		return fmt.Errorf("device number %d:%d, Linux allows %d:%d", e.Major, e.Minor, maxDevMajor, maxDevMinor)
	case sec < minTime || sec > maxTime:
		return fmt.Errorf("a time of %d seconds since 1970, ext4 holds %d to %d", sec, int64(minTime), int64(maxTime))
	}
	return nil
}

// contentBlocks is what the content of an entry takes; a folder's is counted
// elsewhere.
func contentBlocks(e *tree.Entry) int64 {
	switch e.Type {
	case tree.File:
		return ceil(e.Size, blockSize)
	case tree.Symlink:
		if len(e.Target) > fastTarget {
			return 1
		}
	}
	return 0
}
