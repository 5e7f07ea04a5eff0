package ext4

import "slipway/internal/tree"

// Folders: https://docs.kernel.org/filesystems/ext4/dynamic.html#directory-entries

const (
	dirTail    = 12 // of a block: a false entry that holds the checksum
	dirRoom    = blockSize - dirTail
	dirTailTag = 0xde
	lostBlocks = 4 // of lost+found, as mke2fs makes it
)

// dirent is a name in a folder.
type dirent struct {
	name  string
	inode uint32
	kind  byte
}

var direntKinds = map[tree.Type]byte{tree.File: 1, tree.Dir: 2, tree.Char: 3, tree.Block: 4,
	tree.Fifo: 5, tree.Socket: 6, tree.Symlink: 7}

func (d *dirent) size() int { return direntSize(len(d.name)) }

func direntSize(name int) int { return (8 + name + 3) &^ 3 }

// putDirent writes an entry that takes room bytes.
func putDirent(b []byte, d *dirent, room int) {
	put32(b, 0, d.inode)
	put16(b, 4, uint16(room))
	b[6], b[7] = byte(len(d.name)), d.kind
	copy(b[8:], d.name)
}

// dirents lists a folder, without "." and "..".
func (t *nodes) dirents(n int) []dirent {
	kids := t.kids[t.first[n]:t.first[n+1]]
	out := make([]dirent, 0, len(kids)+1)
	if n == rootNode && t.list[lostFoundNode].entry < 0 {
		out = append(out, dirent{lostFound, lostFoundInode, direntKinds[tree.Dir]})
	}
	skip := 0
	if n != rootNode {
		skip = len(t.entryOf(n).Path) + 1
	}
	for _, i := range kids {
		e := &t.m.Entries[i]
		out = append(out, dirent{e.Path[skip:], inode(int(t.of[i])), direntKinds[e.Type]})
	}
	return out
}

// parentOf is the inode of the folder that holds a folder.
func (t *nodes) parentOf(n int) uint32 {
	if i := t.list[n].entry; i > 0 {
		return inode(int(t.up[i]))
	}
	return rootInode
}

// folder makes the blocks of a folder. One block is a plain list, more are
// indexed by hash.
func folder(self, parent uint32, list []dirent, seed *[16]byte, sum crc) ([]byte, error) {
	if fitsOneBlock(list) {
		b := make([]byte, blockSize)
		putList(b, append(dots(self, parent), list...), sum)
		return b, nil
	}
	return indexed(self, parent, list, seed, sum)
}

func fitsOneBlock(list []dirent) bool {
	room := dirRoom - 2*direntSize(1)
	for i := range list {
		if room -= list[i].size(); room < 0 {
			return false
		}
	}
	return true
}

// folderBlocks is the number of blocks that folder makes.
func folderBlocks(list []dirent, seed *[16]byte) (int64, error) {
	if fitsOneBlock(list) {
		return 1, nil
	}
	x, err := newIndex(list, seed)
	if err != nil {
		return 0, err
	}
	return int64(x.blocks()), nil
}

func dots(self, parent uint32) []dirent {
	return []dirent{{".", self, 2}, {"..", parent, 2}}
}

// putList fills a block with entries; the last one takes what is left.
func putList(b []byte, list []dirent, sum crc) {
	at := 0
	for i := range list {
		room := list[i].size()
		if i == len(list)-1 {
			room = dirRoom - at
		}
		putDirent(b[at:], &list[i], room)
		at += room
	}
	if len(list) == 0 {
		put16(b, 4, dirRoom)
	}
	put16(b, dirRoom+4, dirTail)
	b[dirRoom+7] = dirTailTag
	put32(b, dirRoom+8, uint32(sum.bytes(b[:dirRoom])))
}

// isSpare says whether a folder is an empty lost+found.
func (t *nodes) isSpare(n int) bool {
	return n == lostFoundNode && t.first[n] == t.first[n+1]
}

// emptyLostFound has room for what e2fsck finds.
func emptyLostFound(sum crc) []byte {
	b := make([]byte, lostBlocks*blockSize)
	putList(b[:blockSize], dots(lostFoundInode, rootInode), sum)
	for i := 1; i < lostBlocks; i++ {
		putList(b[i*blockSize:(i+1)*blockSize], nil, sum)
	}
	return b
}
