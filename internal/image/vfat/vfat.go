// Package vfat lays out, writes and reads FAT file systems: FAT32, and FAT16
// or FAT12 where a volume has too few clusters for it, with long names.
//
// The format is the one of Microsoft's "FAT: General Overview of On-Disk
// Format" (fatgen103), as ECMA-107 and the UEFI specification, 13.3, have it.
// The type of a volume follows from its number of clusters alone, as there;
// 128 MiB are FAT32 with sectors of 512 bytes, and FAT16 with 4096.
//
// A FAT holds folders and files, their times (in steps of two seconds, from
// 1980 to 2107, as UTC) and nothing else: owners, modes and extended
// attributes are dropped, every name of a hard-link group becomes a file of
// its own, sockets are left out, and all other kinds of entries are errors.
// Files lie in one piece each, in the order of the manifest.
package vfat

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// MaxFile is the largest file of a FAT, in bytes.
const MaxFile = 1<<32 - 1

// Writer writes the smallest sensible FAT that holds a tree.
type Writer struct {
	Sector int // 512 or 4096; 0: 512
	UUID   [16]byte
	Label  string
}

var _ image.Writer = Writer{}

// Write implements image.Writer.
func (f Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	v, err := Plan(ctx, m, c, image.VolumeOptions{Sector: f.Sector, UUID: f.UUID, Label: f.Label, Epoch: opt.Epoch})
	if err != nil {
		return err
	}
	return v.Write(ctx, w)
}

// Volume is a FAT that was laid out.
type Volume struct {
	geo     geometry
	root    *node
	order   []*node // all nodes that have clusters, in the order of these
	content tree.Content
	id      uint32
	label   [11]byte
	labeled bool
	time    stamp // of the label
}

var _ image.Volume = (*Volume)(nil)

// Plan lays out a FAT. Its UUID is shortened to the 32 bits that a FAT has,
// see ID; its label is written in capitals, see Label.
func Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	v, err := plan(ctx, m, c, opt)
	if err != nil {
		return nil, fmt.Errorf("laying out a FAT file system: %w", err)
	}
	return v, nil
}

func plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (*Volume, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if opt.Sector == 0 {
		opt.Sector = 512
	}
	if opt.Sector != 512 && opt.Sector != 4096 {
		return nil, fmt.Errorf("sectors of %d bytes: want 512 or 4096", opt.Sector)
	}
	label, err := labelBytes(opt.Label)
	if err != nil {
		return nil, err
	}
	v := &Volume{content: c, id: binary.BigEndian.Uint32(opt.UUID[:]), label: label, labeled: opt.Label != ""}
	if v.root, err = newTree(m, image.Options{Epoch: opt.Epoch}, v.labeled); err != nil {
		return nil, err
	}
	if v.labeled {
		v.time = v.root.time
	}
	if v.geo, err = fit(v.root, opt); err != nil {
		return nil, err
	}
	v.allocate()
	return v, ctx.Err()
}

// Size implements image.Volume.
func (v *Volume) Size() int64 { return v.geo.size }

// Bits is 12, 16 or 32: the kind of FAT.
func (v *Volume) Bits() int { return v.geo.bits }

// allocate gives every folder and file its clusters, in one piece each.
func (v *Volume) allocate() {
	next := uint32(2)
	v.root.walk(func(n *node) {
		count := n.clusters(&v.geo)
		if count == 0 {
			return
		}
		n.first, n.count = next, count
		next += count
		v.order = append(v.order, n)
	})
}

// ID is how the volume of this UUID is named by blkid and in UUID= of fstab:
// its first four bytes.
func ID(uuid [16]byte) string {
	return fmt.Sprintf("%02X%02X-%02X%02X", uuid[0], uuid[1], uuid[2], uuid[3])
}

// Label is a label as a FAT keeps it: in capitals. One that it cannot hold is
// an error.
func Label(s string) (string, error) {
	if _, err := labelBytes(s); err != nil {
		return "", err
	}
	return strings.ToUpper(s), nil
}

func labelBytes(s string) (out [11]byte, err error) {
	copy(out[:], "NO NAME    ")
	if s == "" {
		return out, nil
	}
	up := strings.ToUpper(s)
	if len(up) > len(out) {
		return out, fmt.Errorf("label %q: a FAT has room for 11 characters", s)
	}
	for i := range len(up) {
		if up[i] != ' ' && !shortByte(up[i]) || i == 0 && up[i] == ' ' {
			return out, fmt.Errorf("label %q: a FAT cannot hold %q in it; use letters, digits, - and _", s, up[i])
		}
	}
	copy(out[:], up+"           ")
	return out, nil
}
