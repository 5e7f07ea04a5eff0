package blockid

// ext reads ext2, ext3 and ext4: Documentation/filesystems/ext4, "Super Block".
func ext(b []byte) (Info, bool) {
	sb := at(b, 1024, 1024)
	if sb == nil || le.Uint16(sb[56:]) != 0xef53 {
		return Info{}, false
	}
	compat, incompat, roCompat := le.Uint32(sb[92:]), le.Uint32(sb[96:]), le.Uint32(sb[100:])
	const journal, extents, bit64, hugeFile, metaCsum = 0x4, 0x40, 0x80, 0x8, 0x400
	kind := "ext2"
	switch {
	case incompat&(extents|bit64) != 0 || roCompat&(hugeFile|metaCsum) != 0:
		kind = "ext4"
	case compat&journal != 0:
		kind = "ext3"
	}
	blocks := uint64(le.Uint32(sb[4:]))
	if incompat&bit64 != 0 {
		blocks |= uint64(le.Uint32(sb[0x150:])) << 32
	}
	info := Info{Type: kind, UUID: uuid(sb[104:120]), Label: text(sb[120:136])}
	if log := le.Uint32(sb[24:]); log <= 6 {
		info.Block = 1024 << log
		info.Size = bound(blocks, uint64(info.Block))
	}
	return info, true
}

// xfs: "XFS Algorithms & Data Structures", superblocks.
func xfs(b []byte) (Info, bool) {
	if !has(b, 0, "XFSB") || len(b) < 512 {
		return Info{}, false
	}
	info := Info{Type: "xfs", UUID: uuid(b[32:48]), Label: text(b[108:120]), MaxInodes: uint32(b[127])}
	if block := be.Uint32(b[4:]); block >= 512 && block <= 1<<16 {
		info.Block = int64(block)
		info.Size = bound(be.Uint64(b[8:]), uint64(block))
	}
	return info, true
}

// squashfs has neither UUID nor label: fs/squashfs/squashfs_fs.h.
func squashfs(b []byte) (Info, bool) {
	if !has(b, 0, "hsqs") || len(b) < 96 {
		return Info{}, false
	}
	return Info{Type: "squashfs", Size: bound(le.Uint64(b[40:]), 1)}, true
}

// erofs: fs/erofs/erofs_fs.h.
func erofs(b []byte) (Info, bool) {
	sb := at(b, 1024, 128)
	if sb == nil || le.Uint32(sb) != 0xe0f5e1e2 {
		return Info{}, false
	}
	var size int64
	if sb[12] < 32 {
		size = bound(uint64(le.Uint32(sb[36:])), 1<<sb[12])
	}
	return Info{Type: "erofs", UUID: uuid(sb[48:64]), Label: text(sb[64:80]), Size: size}, true
}

// btrfs: the superblock at 64 KiB; fields as in include/uapi/linux/btrfs_tree.h.
func btrfs(b []byte) (Info, bool) {
	sb := at(b, 64<<10, 1024)
	if sb == nil || !has(sb, 64, "_BHRfS_M") {
		return Info{}, false
	}
	return Info{Type: "btrfs", UUID: uuid(sb[32:48]), Label: text(sb[0x12b : 0x12b+256]), Size: bound(le.Uint64(sb[112:]), 1)}, true
}

// swap: the last ten bytes of the first page; include/linux/swap.h.
func swap(b []byte) (Info, bool) {
	for _, page := range []int{4096, 16384, 65536} {
		if has(b, page-10, "SWAPSPACE2") {
			return Info{Type: "swap", UUID: uuid(b[1036:1052]), Label: text(b[1052:1068])}, true
		}
	}
	return Info{}, false
}

// iso9660: ECMA-119, 8.4. Its UUID is the time of its making, as blkid has it.
func iso9660(b []byte) (Info, bool) {
	vd := at(b, 32<<10, 2048)
	if vd == nil || !has(vd, 1, "CD001") || vd[0] != 1 {
		return Info{}, false
	}
	info := Info{Type: "iso9660", Label: text(vd[40:72]), Size: bound(uint64(le.Uint32(vd[80:])), 2048)}
	when := vd[830:846] // modification
	if text(when) == "" || when[0] == '0' {
		when = vd[813:829] // creation
	}
	if t := text(when); len(t) == 16 {
		info.UUID = t[0:4] + "-" + t[4:6] + "-" + t[6:8] + "-" + t[8:10] + "-" + t[10:12] + "-" + t[12:14] + "-" + t[14:16]
	}
	return info, true
}
