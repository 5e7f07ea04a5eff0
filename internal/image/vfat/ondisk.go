package vfat

import "encoding/binary"

var le = binary.LittleEndian

const (
	attrLabel   = 0x08
	attrDir     = 0x10
	attrArchive = 0x20
	attrLong    = 0x0f
	lastLong    = 0x40 // in the ordinal of the first entry of a long name

	infoSector   = 1 // FAT32 only
	backupSector = 6
)

// bootSectors are the boot sector (fatgen103, 3) and, on a FAT32, the FSInfo
// sector (5) and the copies of both.
func (v *Volume) bootSectors() []byte {
	s := v.geo.sector
	boot := v.bootSector()
	if v.geo.bits != 32 {
		return boot
	}
	out := make([]byte, (backupSector+2)*s)
	info := v.infoSector()
	for _, at := range []int{0, backupSector} {
		copy(out[at*s:], boot)
		copy(out[(at+infoSector)*s:], info)
	}
	return out
}

func (v *Volume) bootSector() []byte {
	g := &v.geo
	b := make([]byte, g.sector)
	copy(b, "\xeb\x58\x90slipway ")
	le.PutUint16(b[11:], uint16(g.sector))
	b[13] = byte(g.cluster)
	le.PutUint16(b[14:], uint16(g.reserved))
	b[16] = fats
	b[21] = 0xf8             // a fixed disk
	le.PutUint16(b[24:], 63) // sectors of a track and heads: for BIOSes before 1995
	le.PutUint16(b[26:], 255)
	if g.sectors < 1<<16 && g.bits != 32 {
		le.PutUint16(b[19:], uint16(g.sectors))
	} else {
		le.PutUint32(b[32:], g.sectors)
	}
	ext := 36 // where the part begins that both kinds have at other places
	if g.bits == 32 {
		le.PutUint32(b[36:], g.perFAT)
		le.PutUint32(b[44:], v.root.first)
		le.PutUint16(b[48:], infoSector)
		le.PutUint16(b[50:], backupSector)
		ext = 64
	} else {
		b[1] = 0x3c
		le.PutUint16(b[17:], uint16(int(g.rootDir)*g.sector/32))
		le.PutUint16(b[22:], uint16(g.perFAT))
	}
	b[ext] = 0x80
	b[ext+2] = 0x29
	le.PutUint32(b[ext+3:], v.id)
	copy(b[ext+7:], v.label[:])
	copy(b[ext+18:], map[int]string{12: "FAT12   ", 16: "FAT16   ", 32: "FAT32   "}[g.bits])
	// Started by a BIOS it gives up, so that the next device is tried: int 0x18.
	copy(b[ext+26:], "\xcd\x18\xf4\xeb\xfd")
	le.PutUint16(b[510:], 0xaa55)
	return b
}

func (v *Volume) infoSector() []byte {
	used := uint32(0)
	if len(v.order) > 0 {
		last := v.order[len(v.order)-1]
		used = last.first - 2 + last.count
	}
	b := make([]byte, v.geo.sector)
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], v.geo.clusters-used)
	le.PutUint32(b[492:], 2+used) // where to look for a free one
	if used == v.geo.clusters {
		le.PutUint32(b[492:], 0xffffffff)
	}
	le.PutUint32(b[508:], 0xaa550000)
	return b
}

// folder is the content of a folder: fatgen103, 6.
func (v *Volume) folder(n *node) []byte {
	out := make([]byte, 0, n.entries*32)
	if n.parent == nil && v.labeled {
		out = appendEntry(out, v.label[:], attrLabel, v.time, 0, 0)
	}
	if n.parent != nil {
		up := n.parent.first
		if n.parent.parent == nil {
			up = 0 // the root is always 0 here
		}
		out = appendEntry(out, []byte(".          "), attrDir, n.time, n.first, 0)
		out = appendEntry(out, []byte("..         "), attrDir, n.parent.time, up, 0)
	}
	for _, c := range n.children {
		out = appendLong(out, &c.name)
		attr, size := byte(attrArchive), uint32(c.size)
		if c.dir {
			attr, size = attrDir, 0
		}
		out = appendEntry(out, c.name.short[:], attr, c.time, c.first, size)
	}
	return out
}

func appendEntry(out, short []byte, attr byte, t stamp, cluster, size uint32) []byte {
	e := make([]byte, 32)
	copy(e, short[:11])
	e[11] = attr
	if attr != attrLabel {
		e[13] = t.tenths
		le.PutUint16(e[14:], t.time)
		le.PutUint16(e[16:], t.date)
		le.PutUint16(e[18:], t.date)
	}
	le.PutUint16(e[20:], uint16(cluster>>16))
	le.PutUint16(e[22:], t.time)
	le.PutUint16(e[24:], t.date)
	le.PutUint16(e[26:], uint16(cluster))
	le.PutUint32(e[28:], size)
	return append(out, e...)
}

// longAt are the places of the characters in an entry of a long name.
var longAt = [unitsPerEntry]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// appendLong appends the entries of a long name, last part first: fatgen103, 7.
func appendLong(out []byte, n *name) []byte {
	sum := checksum(n.short[:])
	parts := n.entries() - 1
	for i := parts; i > 0; i-- {
		e := make([]byte, 32)
		e[0], e[11], e[13] = byte(i), attrLong, sum
		if i == parts {
			e[0] |= lastLong
		}
		for j, at := range longAt {
			u := uint16(0xffff)
			switch k := (i-1)*unitsPerEntry + j; {
			case k < len(n.long):
				u = n.long[k]
			case k == len(n.long):
				u = 0
			}
			le.PutUint16(e[at:], u)
		}
		out = append(out, e...)
	}
	return out
}
