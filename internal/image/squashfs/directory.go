package squashfs

import (
	"encoding/binary"
	"fmt"
	"math"

	"slipway/internal/tree"
)

const (
	maxRun     = 256 // names behind one header of a listing
	dirHead    = 12  // bytes of a header
	dirName    = 8   // bytes of a name's record without the name
	listingPad = 3   // added to the length in the inode, for "." and ".."
)

// Types of inodes; an extended one is extended higher.
const (
	typeDir = iota + 1
	typeFile
	typeSymlink
	typeBlock
	typeChar
	typeFifo
	typeSocket

	extended = 7
)

var types = map[tree.Type]uint16{tree.Dir: typeDir, tree.File: typeFile, tree.Symlink: typeSymlink, tree.Block: typeBlock,
	tree.Char: typeChar, tree.Fifo: typeFifo, tree.Socket: typeSocket}

// listing is where the names of a folder are.
type listing struct {
	ref   uint64
	size  uint32
	index []indexEntry
}

// indexEntry helps to find a name without reading a listing from the start. It
// stands for a header that begins in another metadata block than the one
// before.
type indexEntry struct {
	at    uint32 // offset in the listing
	block uint32 // start of the metadata block
	name  string // the first behind the header
}

// writeListing writes the names of a folder. Their inodes were written before.
func writeListing(m *metaWriter, d *node) error {
	if len(d.children) == 0 {
		return nil
	}
	d.listing.ref = m.ref()
	begin, block := len(m.buf), m.start
	for rest := d.children; len(rest) > 0; {
		at := d.listing.size
		if m.start != block && len(d.listing.index) < math.MaxUint16 {
			d.listing.index = append(d.listing.index, indexEntry{at, uint32(m.start), rest[0].name})
			block = m.start
		}
		run := rest[:runLength(rest, begin+int(at))]
		d.listing.size += writeRun(m, run)
		rest = rest[len(run):]
		if d.listing.size > math.MaxInt32 {
			return fmt.Errorf("%q has more names than the format can hold", d.e.Path)
		}
	}
	return m.err
}

// runLength is how many names can share a header that begins at an offset:
// their inodes are in one metadata block and have near numbers, and the names
// begin in one metadata block, so that the index can tell them apart.
func runLength(cs []child, at int) int {
	block := at / metaSize
	at += dirHead
	for i, c := range cs {
		delta := int64(c.number) - int64(cs[0].number)
		if i == maxRun || c.ref>>16 != cs[0].ref>>16 || delta != int64(int16(delta)) || i > 0 && at/metaSize != block {
			return i
		}
		at += dirName + len(c.name)
	}
	return len(cs)
}

// writeRun writes struct squashfs_dir_header and as many squashfs_dir_entry.
func writeRun(m *metaWriter, run []child) uint32 {
	le := binary.LittleEndian
	base := run[0]
	b := make([]byte, 0, dirHead+len(run)*(dirName+maxName/8))
	b = le.AppendUint32(b, uint32(len(run)-1))
	b = le.AppendUint32(b, uint32(base.ref>>16))
	b = le.AppendUint32(b, base.number)
	for _, c := range run {
		b = le.AppendUint16(b, uint16(c.ref))
		b = le.AppendUint16(b, uint16(c.number-base.number))
		b = le.AppendUint16(b, types[c.e.Type])
		b = le.AppendUint16(b, uint16(len(c.name)-1))
		b = append(b, c.name...)
	}
	m.write(b)
	return uint32(len(b))
}
