package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc is CRC-32C as ext4 uses it: a running value that is never inverted.
// https://docs.kernel.org/filesystems/ext4/overview.html#checksums
type crc uint32

const crcStart = ^crc(0)

func (c crc) bytes(b []byte) crc { return ^crc(crc32.Update(^uint32(c), castagnoli, b)) }

func (c crc) u32(v uint32) crc {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	return c.bytes(b[:])
}

func (c crc) u64(v uint64) crc {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return c.bytes(b[:])
}

// Little-endian fields of on-disk structures, by offset.

func put16(b []byte, off int, v uint16) { binary.LittleEndian.PutUint16(b[off:], v) }
func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
func put64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }
