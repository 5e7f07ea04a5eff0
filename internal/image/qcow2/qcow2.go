// Package qcow2 writes and reads QEMU's disk images, version 3 (and reads 2):
// docs/interop/qcow2.rst of QEMU.
//
// Written are clusters of 64 KiB, those of zeros left out, plain or
// compressed. There are no snapshots, no encryption, no external data and no
// extended tables of subclusters; reading refuses the last three. The bytes
// depend on the content and on the function that wrote them alone: Write
// streams through any writer and asks the volume twice, WriteAt asks once and
// puts the tables behind the data.
package qcow2

import (
	"encoding/binary"
	"fmt"
)

var be = binary.BigEndian

const (
	magic       = "QFI\xfb"
	clusterBits = 16
	clusterSize = 1 << clusterBits
	perL2       = clusterSize / 8 // entries of a table
	perBlock    = clusterSize / 2 // reference counts of 16 bits in a block

	offsetMask     = 0x00fffffffffffe00
	flagCopied     = 1 << 63 // the cluster has one reference
	flagCompressed = 1 << 62
	flagZero       = 1 // reads as zeros, whatever it points to

	featureDirty       = 1 << 0
	featureCorrupt     = 1 << 1
	featureData        = 1 << 2
	featureCompression = 1 << 3

	extensionFormat = 0xe2792aca // of the backing file

	// MaxSize is the largest disk that is written: its first table has 32 MiB,
	// which is what QEMU takes.
	MaxSize = 32 << 20 / 8 * perL2 * clusterSize
)

// Compression of clusters.
type Compression byte

// The kinds of compression; Zstd needs QEMU 5.1.
const (
	None Compression = iota
	Deflate
	Zstd
)

// header is what the first cluster says.
type header struct {
	size          int64
	compression   Compression
	l1            int64 // offsets
	table         int64
	l1Size        int // entries
	tableClusters int
	backing       string
	backingFormat string
}

// l1Entries that a disk needs.
func l1Entries(size int64) int {
	return int((size + perL2*clusterSize - 1) / (perL2 * clusterSize))
}

func clusters(bytes int64) int64 { return (bytes + clusterSize - 1) / clusterSize }

func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("a disk of %d bytes: want up to %d", size, int64(MaxSize))
	}
	return nil
}

// marshal makes the first cluster.
func (h *header) marshal() ([]byte, error) {
	b := make([]byte, clusterSize)
	copy(b, magic)
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], clusterBits)
	be.PutUint64(b[24:], uint64(h.size))
	be.PutUint32(b[36:], uint32(h.l1Size))
	be.PutUint64(b[40:], uint64(h.l1))
	be.PutUint64(b[48:], uint64(h.table))
	be.PutUint32(b[56:], uint32(h.tableClusters))
	be.PutUint32(b[96:], 4) // counts of 1<<4 bits
	be.PutUint32(b[100:], 112)
	if h.compression == Zstd {
		be.PutUint64(b[72:], featureCompression)
		b[104] = 1
	}
	at := 112
	if h.backing == "" {
		return b, nil
	}
	if len(h.backing) > 1023 {
		return nil, fmt.Errorf("the name of the backing file has %d bytes: there is room for 1023", len(h.backing))
	}
	be.PutUint32(b[at:], extensionFormat)
	be.PutUint32(b[at+4:], uint32(len(h.backingFormat)))
	copy(b[at+8:], h.backingFormat)
	at += 8 + (len(h.backingFormat)+7)/8*8 + 8 // and the end of extensions, zeros
	be.PutUint64(b[8:], uint64(at))
	be.PutUint32(b[16:], uint32(len(h.backing)))
	copy(b[at:], h.backing)
	return b, nil
}

// refTables finds how many blocks of reference counts, and clusters of the
// table of them, an image needs whose other clusters are used.
func refTables(used int64) (blocks, table int64) {
	for {
		total := used + blocks + table
		b := (total + perBlock - 1) / perBlock
		t := max(clusters(b*8), 1)
		if b == blocks && t == table {
			return blocks, table
		}
		blocks, table = b, t
	}
}

func appendTable(b []byte, entries []uint64) []byte {
	for _, e := range entries {
		b = be.AppendUint64(b, e)
	}
	return b
}

// pad fills up to a whole cluster.
func pad(b []byte) []byte {
	return append(b, make([]byte, clusters(int64(len(b)))*clusterSize-int64(len(b)))...)
}

// counts renders blocks of reference counts.
func counts(refs []uint16) []byte {
	b := make([]byte, 0, len(refs)*2)
	for _, r := range refs {
		b = be.AppendUint16(b, r)
	}
	return b
}

// compressedEntry is the L2 entry of compressed data.
func compressedEntry(offset int64, length int) uint64 {
	x := 62 - (clusterBits - 8)
	sectors := (offset+int64(length)-1)/512 - offset/512
	return flagCompressed | uint64(sectors)<<x | uint64(offset)
}
