package metal

import (
	"bytes"
	"io"
)

// sign is what a disk holds when certain bytes are at a certain place.
type sign struct {
	at    int64
	bytes string
	name  string
}

// signs are of things that slipway does not make and people would miss: other
// systems' file systems, encryption, and members of something larger. They are
// only named, never read, so each needs no more than its magic number.
var signs = []sign{
	{0, "LUKS\xba\xbe", "LUKS encryption"},
	{3, "-FVE-FS-", "BitLocker encryption"},
	{3, "NTFS    ", "ntfs"},
	{3, "EXFAT   ", "exfat"},
	{3, "ReFS\x00", "refs"},
	{512, "LABELONE", "LVM physical volume"}, // the label is in one of the first four sectors
	{0, "LABELONE", "LVM physical volume"},
	{1024, "LABELONE", "LVM physical volume"},
	{1536, "LABELONE", "LVM physical volume"},
	{0, "\xfc\x4e\x2b\xa9", "RAID member"},    // md, superblock 1.1
	{4096, "\xfc\x4e\x2b\xa9", "RAID member"}, // md, superblock 1.2
	{4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcache"},
	{32, "NXSB", "apfs"},
	{1024, "H+\x00\x04", "hfsplus"},
	{1024, "\x10\x20\xf5\xf2", "f2fs"},
	{0, "bluestore block device", "Ceph OSD"},
}

// ZFS keeps a ring of 128 such places in the second half of its first label.
const (
	zfsRing  = 128 << 10
	zfsStep  = 1 << 10
	zfsMagic = "\x0c\xb1\xba\x00\x00\x00\x00\x00"
)

// foreign names what else is known to be at the start of a disk or partition;
// empty: nothing.
func foreign(r io.ReaderAt) string {
	head := make([]byte, 8<<10)
	n, _ := r.ReadAt(head, 0)
	head = head[:n]
	for _, s := range signs {
		if int64(len(head)) > s.at && bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			return s.name
		}
	}
	ring := make([]byte, 128*zfsStep)
	n, _ = r.ReadAt(ring, zfsRing)
	for at := 0; at < n; at += zfsStep {
		if bytes.HasPrefix(ring[at:n], []byte(zfsMagic)) {
			return "zfs"
		}
	}
	return ""
}
