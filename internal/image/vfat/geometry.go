package vfat

import (
	"fmt"

	"slipway/internal/image"
)

// geometry is where the parts of a FAT lie; counts are of sectors.
type geometry struct {
	size     int64 // bytes of the volume
	sector   int
	bits     int // 12, 16 or 32
	sectors  uint32
	reserved uint32
	tables   uint32 // file allocation tables; written are always two
	perFAT   uint32
	rootDir  uint32 // sectors of the fixed root folder of FAT12 and FAT16
	cluster  uint32 // sectors of a cluster
	clusters uint32
}

const (
	fats = 2
	// The numbers of clusters at which one kind of FAT becomes the next, and
	// how far to stay away from them: some drivers are off by a few.
	maxFAT12 = 4084
	maxFAT16 = 65524
	maxFAT32 = 0x0ffffff4
	margin   = 16
)

func (g *geometry) clusterSize() int64 { return int64(g.cluster) * int64(g.sector) }
func (g *geometry) dataStart() uint32  { return g.reserved + g.tables*g.perFAT + g.rootDir }

// fit finds the geometry of the size asked for, or of the smallest size that
// has room for the tree.
func fit(root *node, opt image.VolumeOptions) (geometry, error) {
	if opt.Size < 0 || opt.Free < 0 {
		return geometry{}, fmt.Errorf("a size of %d bytes with %d free", opt.Size, opt.Free)
	}
	if opt.Size > 0 {
		g, err := newGeometry(opt.Size, opt.Sector, root.entries)
		if err != nil {
			return g, err
		}
		if need := root.total(&g); need > int64(g.clusters) {
			return g, fmt.Errorf("the files need %d bytes, and a volume of %d bytes has room for %d; make it larger",
				need*g.clusterSize(), opt.Size, int64(g.clusters)*g.clusterSize())
		}
		return g, nil
	}
	const step = 64 << 10
	for size := int64(step); ; {
		g, err := newGeometry(size, opt.Sector, root.entries)
		if err != nil && size > 1<<20 {
			return g, err
		}
		missing := int64(step)
		if err == nil {
			need := root.total(&g) + (opt.Free+g.clusterSize()-1)/g.clusterSize()
			if missing = (need - int64(g.clusters)) * g.clusterSize(); missing <= 0 {
				return g, nil
			}
		}
		size += (missing + step - 1) / step * step
	}
}

// newGeometry takes the largest kind of FAT that the number of clusters
// allows, with clusters of 4 KiB if there are enough of them, else smaller.
func newGeometry(size int64, sector, rootEntries int) (geometry, error) {
	total := size / int64(sector)
	if total > 1<<32-1 {
		return geometry{}, fmt.Errorf("%d sectors of %d bytes are more than the 4294967295 of a FAT; make it smaller", total, sector)
	}
	g := geometry{size: size, sector: sector, sectors: uint32(total), tables: fats}
	large := int64(4096)
	for large < 32<<10 && size > large<<21 { // 8 GiB with 4 KiB, then twice as much each
		large *= 2
	}
	for c := large; c >= int64(sector); c /= 2 {
		if g.lay(32, uint32(c/int64(sector)), rootEntries) && g.clusters > maxFAT16+margin && g.clusters <= maxFAT32 {
			return g, nil
		}
	}
	for _, bits := range []int{16, 12} {
		low, high := uint32(maxFAT12+margin), uint32(maxFAT16-margin)
		if bits == 12 {
			low, high = 0, maxFAT12-margin
		}
		for c := int64(sector); c <= 32<<10; c *= 2 {
			if g.lay(bits, uint32(c/int64(sector)), rootEntries) && g.clusters > low && g.clusters <= high {
				return g, nil
			}
		}
	}
	return g, fmt.Errorf("%d bytes are too few for a FAT with sectors of %d bytes", size, sector)
}

// lay computes a geometry of one kind; false when nothing is left for data.
// The data begins at a multiple of 4 KiB of the volume.
func (g *geometry) lay(bits int, cluster uint32, rootEntries int) bool {
	g.bits, g.cluster = bits, cluster
	g.reserved, g.rootDir = 32, 0
	if bits != 32 {
		g.reserved = 1
		bytes := max(512, rootEntries+64) * 32
		g.rootDir = uint32((bytes + g.sector - 1) / g.sector)
	}
	if g.sectors <= g.reserved+g.rootDir+fats {
		return false
	}
	// The largest FAT that could be needed: as if it took no room itself.
	n := int64(g.sectors-g.reserved-g.rootDir)/int64(cluster) + 2
	for range 3 { // each round takes off what the FATs of the round before take
		perFAT := ((n*int64(bits)+7)/8 + int64(g.sector) - 1) / int64(g.sector)
		left := int64(g.sectors) - int64(g.reserved) - int64(g.rootDir) - fats*perFAT
		if left < int64(cluster) {
			return false
		}
		g.perFAT = uint32(perFAT)
		if n = left/int64(cluster) + 2; n <= 2 {
			return false
		}
	}
	perFAT := ((n*int64(bits)+7)/8 + int64(g.sector) - 1) / int64(g.sector)
	g.perFAT = max(g.perFAT, uint32(perFAT))
	if align := uint32(max(4096/g.sector, 1)); g.dataStart()%align != 0 {
		g.reserved += align - g.dataStart()%align
	}
	if g.sectors < g.dataStart()+cluster {
		return false
	}
	g.clusters = (g.sectors - g.dataStart()) / cluster
	return bits == 32 || g.perFAT < 1<<16 && int(g.rootDir)*g.sector/32 < 1<<16
}
