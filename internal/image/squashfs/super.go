package squashfs

import (
	"encoding/binary"
	"math/bits"
)

const (
	magic     = 0x73717368 // "hsqs"
	superSize = 96
	invalid   = ^uint64(0) // the place of a table that is not there
	padding   = 4096

	flagDuplicates = 0x40
	flagExportable = 0x80
	flagNoXattrs   = 0x200
)

// super is struct squashfs_super_block.
type super struct {
	inodes      uint32
	time        uint32
	blockSize   int
	fragments   uint32
	compression uint16
	flags       uint16
	ids         uint16
	root        uint64 // reference to an inode
	used        uint64 // bytes, without padding

	idTable, xattrTable, inodeTable, dirTable, fragmentTable, exportTable uint64 // byte offsets
}

func (s *super) append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, magic)
	b = le.AppendUint32(b, s.inodes)
	b = le.AppendUint32(b, s.time)
	b = le.AppendUint32(b, uint32(s.blockSize))
	b = le.AppendUint32(b, s.fragments)
	b = le.AppendUint16(b, s.compression)
	b = le.AppendUint16(b, uint16(bits.Len(uint(s.blockSize))-1))
	b = le.AppendUint16(b, s.flags)
	b = le.AppendUint16(b, s.ids)
	b = le.AppendUint16(b, 4) // the version of the format
	b = le.AppendUint16(b, 0)
	for _, v := range []uint64{s.root, s.used, s.idTable, s.xattrTable, s.inodeTable, s.dirTable, s.fragmentTable, s.exportTable} {
		b = le.AppendUint64(b, v)
	}
	return b
}
