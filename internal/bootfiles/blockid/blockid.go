// Package blockid tells what a block device holds, by its superblock: the kind
// of file system, its UUID and label, spelled as blkid(8) does. It knows the
// file systems that a root, an ESP or swap of ours may be, and no others.
package blockid

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Info describes a file system. Type is the name that mount(2) takes; empty
// means that nothing known was found.
type Info struct {
	Type  string
	UUID  string
	Label string
	Size  int64 // of the file system in bytes; 0 if not known
	Block int64 // size of its blocks in bytes; of ext and xfs only

	MaxInodes uint32 // of xfs: the share of space for inodes in percent
}

// Matches tells whether the file system is the one that KEY=VALUE names.
func (i Info) Matches(key, value string) bool {
	switch key {
	case "UUID":
		return i.UUID != "" && strings.EqualFold(i.UUID, value)
	case "LABEL":
		return i.Label != "" && i.Label == value
	}
	return false
}

// head is what is read at once: it covers all superblocks but the one of btrfs.
const head = 68 << 10

// Probe reads a device. It needs at most two reads. A device that is too short
// for a superblock simply does not hold that file system.
func Probe(r io.ReaderAt) (Info, error) {
	buf := make([]byte, head)
	n, err := r.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return Info{}, fmt.Errorf("reading a superblock: %w", err)
	}
	buf = buf[:n]
	for _, read := range []func([]byte) (Info, bool){ext, xfs, squashfs, erofs, btrfs, swap, iso9660, vfat} {
		if info, ok := read(buf); ok {
			return info, nil
		}
	}
	return Info{}, nil
}

// at gives n bytes of a buffer; nil if it is too short.
func at(b []byte, off, n int) []byte {
	if off < 0 || n < 0 || len(b) < off+n {
		return nil
	}
	return b[off : off+n]
}

func has(b []byte, off int, magic string) bool { return string(at(b, off, len(magic))) == magic }

// uuid spells 16 bytes; all zeros are no UUID.
func uuid(b []byte) string {
	if len(b) != 16 || bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// text is a fixed field that ends early at a zero byte.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.ToValidUTF8(strings.TrimRight(string(b), " "), "?")
}

// bound multiplies sizes out of foreign bytes; 0 if that is no sensible size.
func bound(count, unit uint64) int64 {
	if unit == 0 || unit > 1<<26 || count > (1<<62)/unit {
		return 0
	}
	return int64(count * unit)
}

var le, be = binary.LittleEndian, binary.BigEndian
