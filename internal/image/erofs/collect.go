package erofs

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// inode is what gets one, with all of its names.
type inode struct {
	e        *tree.Entry
	time     time
	xattrs   []byte // as they follow the inode
	nlink    uint32
	extended bool

	size    int64 // of the data: content, target or directory
	layout  layout
	tail    int    // bytes of data that lie beside the inode
	blkaddr uint32 // of the first data block
	blocks  int64  // of data
	pos     int64  // of the inode in the image
	extents []extent

	names []name // of a directory, sorted, with . and ..
}

type name struct {
	name string
	to   *inode
}

func (n *inode) nid() uint64 { return uint64(n.pos) / slotSize }

// collect makes the inodes and the directories of a manifest.
func (v *volume) collect(m *tree.Manifest) error {
	byPath := make(map[string]*inode) // directories and first names of groups
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := v.entry(e, byPath); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
	}
	if len(v.inodes) == 0 {
		return fmt.Errorf("the tree is empty, not even a root folder is there")
	}
	for _, n := range v.inodes {
		if n.e.Type == tree.Dir {
			slices.SortFunc(n.names, func(a, b name) int { return strings.Compare(a.name, b.name) })
			n.size = dirSize(n.names)
		}
	}
	return nil
}

func (v *volume) entry(e *tree.Entry, byPath map[string]*inode) error {
	n := byPath[e.Link]
	if e.Link == "" {
		var err error
		if n, err = v.newInode(e); err != nil {
			return err
		}
		byPath[e.Path] = n
	}
	if e.Path == "." {
		n.nlink, n.names = 2, []name{{".", n}, {"..", n}}
		return nil
	}
	parent := byPath[tree.Parent(e.Path)]
	if parent == nil {
		return fmt.Errorf("the folder that holds it is not in the tree")
	}
	base := path.Base(e.Path)
	if len(base) > 255 {
		return fmt.Errorf("a name of more than 255 bytes")
	}
	parent.names = append(parent.names, name{base, n})
	n.nlink++
	if e.Type == tree.Dir {
		n.nlink++
		parent.nlink++
		n.names = []name{{".", n}, {"..", parent}}
	}
	return nil
}

func (v *volume) newInode(e *tree.Entry) (*inode, error) {
	n := &inode{e: e, size: e.Size}
	n.time.sec, n.time.nsec = image.Options{Epoch: v.opt.Epoch}.Time(e)
	switch {
	case e.Type == tree.Symlink && len(e.Target) >= blockSize:
		return nil, fmt.Errorf("a target of %d bytes or more", blockSize)
	case e.Type == tree.Symlink:
		n.size = int64(len(e.Target))
	case e.Major >= 1<<12 || e.Minor >= 1<<20:
		return nil, fmt.Errorf("device %d:%d is beyond Linux's 4095:1048575", e.Major, e.Minor)
	}
	var err error
	if n.xattrs, err = encodeXattrs(e.Xattrs); err != nil {
		return nil, err
	}
	v.inodes = append(v.inodes, n)
	return n, nil
}

// setTimes chooses the time that compact inodes have, the most frequent one,
// and which inodes must be extended.
func (v *volume) setTimes() {
	count := make(map[time]int)
	best := time{}
	for _, n := range v.inodes {
		count[n.time]++
	}
	for _, n := range v.inodes { // in order, so that the first of equals wins
		if count[n.time] > count[best] {
			best = n.time
		}
	}
	v.buildTime = best
	for _, n := range v.inodes {
		n.extended = n.time != best || n.e.UID > math.MaxUint16 || n.e.GID > math.MaxUint16 ||
			n.nlink > math.MaxUint16 || n.size > math.MaxUint32
	}
}
