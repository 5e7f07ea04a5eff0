package vfat

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// FS is a FAT that was opened. Its names were all read by Open, its files are
// read when they are asked for, from several goroutines if need be. It is an
// fs.FS that finds names in any case, as a FAT does.
type FS struct {
	Label string // empty: none
	ID    string // as blkid prints it: "1234-ABCD"
	Free  int64  // bytes of the clusters that no file has

	r     io.ReaderAt
	geo   geometry
	start uint32 // first cluster of the root, FAT32
	root  *file
	left  int64 // bytes of folders that may still be read
}

// maxNames bounds what Open reads: no boot partition has a million names.
const (
	maxNames   = 1 << 20
	maxFolders = 256 << 20 // bytes
)

var errChain = errors.New("its chain of clusters is broken")

// Open reads a FAT of at most size bytes. The reader is foreign input: what
// does not fit together is an error.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	f := &FS{r: r, left: maxFolders}
	if err := f.open(size); err != nil {
		return nil, fmt.Errorf("reading a FAT file system: %w", err)
	}
	return f, nil
}

func (f *FS) open(size int64) error {
	b := make([]byte, 512)
	if _, err := f.r.ReadAt(b, 0); err != nil {
		return fmt.Errorf("boot sector: %w", err)
	}
	if err := f.geo.parse(b, size); err != nil {
		return err
	}
	ext := 36
	if f.geo.bits == 32 {
		f.start, ext = le.Uint32(b[44:]), 64
	}
	if b[ext+2] == 0x29 {
		id := le.Uint32(b[ext+3:])
		f.ID = fmt.Sprintf("%04X-%04X", id>>16, id&0xffff)
	}
	if err := f.countFree(); err != nil {
		return err
	}
	return f.readTree()
}

// parse reads the BIOS parameter block: fatgen103, 3.
func (g *geometry) parse(b []byte, size int64) error {
	if le.Uint16(b[510:]) != 0xaa55 {
		return fmt.Errorf("signature at 0x1fe: got %#x, want 0xaa55", le.Uint16(b[510:]))
	}
	g.sector, g.cluster = int(le.Uint16(b[11:])), uint32(b[13])
	if g.sector < 512 || g.sector > 4096 || bits.OnesCount(uint(g.sector)) != 1 || bits.OnesCount32(g.cluster) != 1 {
		return fmt.Errorf("sectors of %d bytes, clusters of %d sectors", g.sector, g.cluster)
	}
	if b[16] != 1 && b[16] != 2 {
		return fmt.Errorf("%d file allocation tables, want 1 or 2", b[16])
	}
	g.sectors, g.perFAT = uint32(le.Uint16(b[19:])), uint32(le.Uint16(b[22:]))
	if g.sectors == 0 {
		g.sectors = le.Uint32(b[32:])
	}
	fat32 := g.perFAT == 0
	if fat32 {
		g.perFAT = le.Uint32(b[36:])
	}
	g.reserved = uint32(le.Uint16(b[14:]))
	g.rootDir = (uint32(le.Uint16(b[17:]))*32 + uint32(g.sector) - 1) / uint32(g.sector)
	g.tables = uint32(b[16])
	data := uint64(g.reserved) + uint64(g.perFAT)*uint64(g.tables) + uint64(g.rootDir)
	if g.size = int64(g.sectors) * int64(g.sector); g.size > size || g.reserved == 0 || g.perFAT == 0 || data >= uint64(g.sectors) {
		return fmt.Errorf("%d sectors of %d bytes, %d of them before the data, in %d bytes", g.sectors, g.sector, data, size)
	}
	g.clusters = (g.sectors - uint32(data)) / g.cluster
	return g.kind(fat32)
}

// kind is decided by the number of clusters, but a volume with the FAT32 form
// of the boot sector is one however small it is: so do all drivers.
func (g *geometry) kind(fat32 bool) error {
	switch {
	case fat32 && g.rootDir == 0:
		g.bits = 32
	case fat32 || g.rootDir == 0 || g.clusters > maxFAT16:
		return fmt.Errorf("%d clusters and a root folder of %d sectors do not go together", g.clusters, g.rootDir)
	case g.clusters > maxFAT12:
		g.bits = 16
	default:
		g.bits = 12
	}
	if need := ((int64(g.clusters)+2)*int64(g.bits) + 7) / 8; need > int64(g.perFAT)*int64(g.sector) {
		return fmt.Errorf("%d clusters, and the table of %d sectors has not room for them", g.clusters, g.perFAT)
	}
	return nil
}

// next is the entry of a cluster in the first table; last tells that it ends
// its chain.
func (f *FS) next(c uint32) (next uint32, last bool, err error) {
	at := int64(c) * int64(f.geo.bits) / 8
	var b [4]byte
	n := map[int]int{12: 2, 16: 2, 32: 4}[f.geo.bits]
	if _, err := f.r.ReadAt(b[:n], int64(f.geo.reserved)*int64(f.geo.sector)+at); err != nil {
		return 0, false, err
	}
	next = le.Uint32(b[:])
	switch {
	case f.geo.bits == 32:
		next &= 0x0fffffff
	case f.geo.bits == 12 && c%2 == 1:
		next >>= 4
	}
	end := uint32(1)<<min(f.geo.bits, 28) - 1
	if next &= end; next >= end&^7 {
		return 0, true, nil
	}
	if !f.valid(next) {
		return 0, false, errChain
	}
	return next, false, nil
}

func (f *FS) valid(c uint32) bool { return c >= 2 && c < f.geo.clusters+2 }

func (f *FS) offset(c uint32) int64 {
	return (int64(f.geo.dataStart()) + int64(c-2)*int64(f.geo.cluster)) * int64(f.geo.sector)
}

// countFree reads the whole table once.
func (f *FS) countFree() error {
	g := &f.geo
	base := int64(g.reserved) * int64(g.sector)
	buf := make([]byte, 3*4096) // a multiple of each kind's entries
	left := (int64(g.clusters) + 2) * int64(g.bits)
	index := int64(0)
	for at := int64(0); left > 0; at += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), (left+7)/8)]
		if _, err := f.r.ReadAt(b, base+at); err != nil {
			return fmt.Errorf("file allocation table: %w", err)
		}
		left -= int64(len(b)) * 8
		for i := int64(0); i < int64(len(b))*8/int64(g.bits); i++ {
			if index >= 2 && index < int64(g.clusters)+2 && entryAt(b, g.bits, i) == 0 {
				f.Free += g.clusterSize()
			}
			index++
		}
	}
	return nil
}

func entryAt(b []byte, kind int, i int64) uint32 {
	switch kind {
	case 32:
		return le.Uint32(b[i*4:]) & 0x0fffffff
	case 16:
		return uint32(le.Uint16(b[i*2:]))
	}
	lo, hi := uint32(b[i*3/2]), uint32(b[i*3/2+1])
	if i%2 == 1 {
		return lo>>4 | hi<<4
	}
	return lo | hi&15<<8
}
