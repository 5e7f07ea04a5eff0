package ext4

import (
	"cmp"
	"fmt"
	"slices"
)

// Indexed folders: a tree of hashes over blocks of entries that are sorted by
// hash. The blocks of the tree look like blocks without entries to a reader
// that does not know it.
// https://docs.kernel.org/filesystems/ext4/dynamic.html#hash-tree-directories
const (
	indexInfo     = 24 // offset of the root's parameters, behind "." and ".."
	indexRootOff  = 32 // of the root's entries
	indexNodeOff  = 8
	indexEntry    = 8
	indexTail     = 8
	indexRootRoom = (blockSize - indexRootOff - indexTail) / indexEntry
	indexNodeRoom = (blockSize - indexNodeOff - indexTail) / indexEntry
)

type hashed struct {
	dirent
	major, minor uint32
}

// index is the plan of an indexed folder.
type index struct {
	list   []hashed
	leaves []int // ends in list
	nodes  int   // blocks between the root and the leaves; 0: none is needed
}

func newIndex(list []dirent, seed *[16]byte) (*index, error) {
	x := &index{list: make([]hashed, len(list))}
	for i, d := range list {
		x.list[i].dirent = d
		x.list[i].major, x.list[i].minor = nameHash(d.name, seed)
	}
	slices.SortFunc(x.list, func(a, b hashed) int {
		return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor), cmp.Compare(a.name, b.name))
	})
	room := dirRoom
	for i := range x.list {
		n := x.list[i].size()
		if n > room {
			x.leaves = append(x.leaves, i)
			room = dirRoom
		}
		room -= n
	}
	x.leaves = append(x.leaves, len(x.list))
	if len(x.leaves) > indexRootRoom {
		x.nodes = int(ceil(int64(len(x.leaves)), indexNodeRoom))
	}
	if x.nodes > indexRootRoom {
		return nil, fmt.Errorf("%d names are too many for one folder of ext4", len(list))
	}
	return x, nil
}

func (x *index) blocks() int { return 1 + x.nodes + len(x.leaves) }

// pointer is an entry of an index block: from which hash on, where.
type pointer struct{ hash, block uint32 }

// leafPointers name every leaf by its lowest hash. The lowest bit says that
// the entries of one hash began in the block before.
func (x *index) leafPointers() []pointer {
	out := make([]pointer, len(x.leaves))
	for i := range out {
		out[i].block = uint32(1 + x.nodes + i)
		if i == 0 {
			continue
		}
		first := x.leaves[i-1]
		out[i].hash = x.list[first].major
		if x.list[first-1].major == out[i].hash {
			out[i].hash |= 1
		}
	}
	return out
}

func indexed(self, parent uint32, list []dirent, seed *[16]byte, sum crc) ([]byte, error) {
	x, err := newIndex(list, seed)
	if err != nil {
		return nil, err
	}
	b := make([]byte, x.blocks()*blockSize)
	block := func(i int) []byte { return b[i*blockSize : (i+1)*blockSize] }
	top := x.leafPointers()
	if x.nodes > 0 {
		low := top
		top = nil
		for i := range x.nodes {
			part := low[:min(len(low), indexNodeRoom)]
			low = low[len(part):]
			top = append(top, pointer{part[0].hash, uint32(1 + i)})
			put16(block(1+i), 4, blockSize)
			putPointers(block(1+i), indexNodeOff, indexNodeRoom, part, sum)
		}
	}
	putRoot(block(0), self, parent, x.nodes > 0)
	putPointers(block(0), indexRootOff, indexRootRoom, top, sum)
	from := 0
	var leaf []dirent
	for i, end := range x.leaves {
		leaf = leaf[:0]
		for j := from; j < end; j++ {
			leaf = append(leaf, x.list[j].dirent)
		}
		putList(block(1+x.nodes+i), leaf, sum)
		from = end
	}
	return b, nil
}

func putRoot(b []byte, self, parent uint32, deep bool) {
	d := dots(self, parent)
	putDirent(b, &d[0], direntSize(1))
	putDirent(b[direntSize(1):], &d[1], blockSize-direntSize(1))
	b[indexInfo+4] = hashHalfMD4
	b[indexInfo+5] = 8 // bytes of these parameters
	if deep {
		b[indexInfo+6] = 1
	}
}

// putPointers writes the entries of an index block and its checksum. The
// first one has no hash; limit and count stand there.
func putPointers(b []byte, off, room int, list []pointer, sum crc) {
	for i, p := range list {
		at := off + i*indexEntry
		put32(b, at, p.hash)
		put32(b, at+4, p.block)
	}
	put16(b, off, uint16(room))
	put16(b, off+2, uint16(len(list)))
	tail := off + room*indexEntry
	sum = sum.bytes(b[:off+len(list)*indexEntry]).u64(0) // the tail with a checksum of 0
	put32(b, tail+4, uint32(sum))
}
