package blockid

import "fmt"

// vfat reads the boot sector of FAT12, FAT16 and FAT32 ("Microsoft FAT
// Specification", section 3). It is tried last and strictly: the first sector
// of a partitioned disk looks much alike. The label is the boot sector's, not
// the one of the root folder.
func vfat(b []byte) (Info, bool) {
	if len(b) < 512 || b[510] != 0x55 || b[511] != 0xaa {
		return Info{}, false
	}
	sector, cluster, copies := uint64(le.Uint16(b[11:])), b[13], b[16]
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || cluster == 0 || cluster&(cluster-1) != 0 || copies == 0 || copies > 4 || le.Uint16(b[14:]) == 0 {
		return Info{}, false
	}
	sectors := uint64(le.Uint16(b[19:]))
	if sectors == 0 {
		sectors = uint64(le.Uint32(b[32:]))
	}
	ext := 36 // of the extended boot record
	if le.Uint16(b[22:]) == 0 {
		ext = 64 // FAT32
	}
	if sectors == 0 || b[ext+2] != 0x29 && b[ext+2] != 0x28 {
		return Info{}, false
	}
	id := le.Uint32(b[ext+3:])
	label := text(b[ext+7 : ext+18])
	if label == "NO NAME" {
		label = ""
	}
	return Info{Type: "vfat", UUID: fmt.Sprintf("%04X-%04X", id>>16, id&0xffff), Label: label, Size: bound(sectors, sector)}, true
}
