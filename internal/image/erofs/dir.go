package erofs

import (
	"encoding/binary"

	"slipway/internal/tree"
)

const direntSize = 12

// fileTypes are EROFS_FT_*.
var fileTypes = map[tree.Type]byte{tree.File: 1, tree.Dir: 2, tree.Char: 3, tree.Block: 4, tree.Fifo: 5, tree.Socket: 6, tree.Symlink: 7}

// dirBlock is how many of the names go into the next block, and how many bytes
// of it they take. A block stands for itself: entries, then their names.
func dirBlock(names []name) (count, size int) {
	for _, n := range names {
		more := direntSize + len(n.name)
		if size+more > blockSize {
			break
		}
		count, size = count+1, size+more
	}
	return count, size
}

func dirSize(names []name) (size int64) {
	for len(names) > 0 {
		count, n := dirBlock(names)
		names = names[count:]
		size = (size+blockSize-1)/blockSize*blockSize + int64(n)
	}
	return size
}

// encodeDir makes the whole directory; the last block is not filled up.
func encodeDir(names []name) []byte {
	var out []byte
	for len(names) > 0 {
		count, _ := dirBlock(names)
		out = append(out, make([]byte, -len(out)&(blockSize-1))...)
		offset := direntSize * count
		for _, n := range names[:count] {
			out = binary.LittleEndian.AppendUint64(out, n.to.nid())
			out = binary.LittleEndian.AppendUint16(out, uint16(offset))
			out = append(out, fileTypes[n.to.e.Type], 0)
			offset += len(n.name)
		}
		for _, n := range names[:count] {
			out = append(out, n.name...)
		}
		names = names[count:]
	}
	return out
}
