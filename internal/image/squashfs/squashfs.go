// Package squashfs writes and reads trees as squashfs 4.0 images, the
// compressed read-only filesystem of Linux.
//
// The layout is the one that the kernel's Documentation/filesystems/squashfs.rst
// and include file fs/squashfs/squashfs_fs.h describe: data blocks and
// fragments, then the inode, directory, fragment, export, id and attribute
// tables, all of them compressed, padded to 4096 bytes. Equal contents are
// stored once, blocks of zeros not at all, and what compression does not make
// smaller as it is. Blocks are compressed in parallel; the bytes depend on the
// tree and the options alone, not on the number of CPUs.
//
// The format has no label, no UUID and no free space. POSIX access control
// lists are left out, with the mode's bits for the group reduced to what the
// group itself was allowed; any other attribute outside of user., trusted. and
// security. is an error. Times are whole seconds from 1970 to 2106, and others
// become the nearest of these. Folders that a tree implies but does not list
// are made with mode 0755, owner 0:0 and time 0.
package squashfs

import (
	"context"
	"fmt"
	"io"
	"math/bits"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Compression is how blocks are compressed.
type Compression string

// The compressions. Gzip and XZ carry a checksum of every block that was made
// smaller; Zstd could too, but not in a way that the kernel can always read.
const (
	Zstd Compression = "zstd" // also the empty string
	Gzip Compression = "gzip"
	XZ   Compression = "xz"
)

// DefaultBlockSize is the largest amount of data that is compressed together
// unless something else is asked for.
const DefaultBlockSize = 128 << 10

const (
	minBlockSize = 4 << 10
	maxBlockSize = 1 << 20
)

// Writer writes squashfs images. The zero value works.
type Writer struct {
	Compression Compression
	// BlockSize in bytes, a power of two from 4 KiB to 1 MiB; 0:
	// DefaultBlockSize. Larger ones compress better and are slower to read at
	// random.
	BlockSize int
	// Level trades time for size: 1 to 4 for Zstd (0: 2), 1 to 9 for Gzip (0:
	// 6). XZ has only 0. Level 4 of Zstd saves a few percent for six times the
	// time.
	Level int
}

var _ image.Writer = Writer{}

// Plan compresses a tree with the default settings into a temporary file, so
// that the size of the filesystem is known. It is rounded up to 4096 bytes, or
// to opt.Size, which must be enough. Nothing can be free in it: opt.Free,
// opt.UUID and opt.Label have no meaning here. The volume is an io.Closer; the
// temporary file, which has no name, vanishes at the latest when the volume is
// no longer used.
func Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	return Writer{}.Plan(ctx, m, c, opt)
}

// Plan is Plan with the settings of a Writer.
func (s Writer) Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	v, err := s.volume(ctx, m, c, opt.Epoch)
	if err != nil {
		return nil, fmt.Errorf("making a squashfs filesystem: %w", err)
	}
	if opt.Size != 0 && opt.Size < v.size {
		v.Close()
		return nil, fmt.Errorf("making a squashfs filesystem: it needs %d bytes, but %d were asked for; "+
			"give it more, or put less into it", v.size, opt.Size)
	}
	v.size = max(v.size, opt.Size)
	return v, nil
}

// Write implements image.Writer. The superblock is at the beginning but known
// last, so the image is first made in a temporary file, unless w can be patched
// as an *os.File can.
func (s Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	if err := s.write(ctx, w, m, c, opt.Epoch); err != nil {
		return fmt.Errorf("writing a squashfs image: %w", err)
	}
	return nil
}

func (s Writer) write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, epoch int64) error {
	s, err := s.normal()
	if err != nil {
		return err
	}
	if to := direct(w); to != nil {
		size, err := s.build(ctx, to, m, c, epoch)
		if err != nil {
			return err
		}
		return image.Hole(w, size-to.n)
	}
	v, err := s.volume(ctx, m, c, epoch)
	if err != nil {
		return err
	}
	defer v.Close()
	return v.Write(ctx, w)
}

// normal fills in defaults and checks the settings.
func (s Writer) normal() (Writer, error) {
	if s.Compression == "" {
		s.Compression = Zstd
	}
	if s.BlockSize == 0 {
		s.BlockSize = DefaultBlockSize
	}
	if s.BlockSize < minBlockSize || s.BlockSize > maxBlockSize || bits.OnesCount(uint(s.BlockSize)) != 1 {
		return s, fmt.Errorf("block size %d is no power of two from %d to %d", s.BlockSize, minBlockSize, maxBlockSize)
	}
	k, ok := codecs[s.Compression]
	if !ok {
		return s, fmt.Errorf("unknown compression %q; it can be %s, %s or %s", string(s.Compression), Zstd, Gzip, XZ)
	}
	if s.Level < 0 || s.Level > k.levels {
		return s, fmt.Errorf("%s has no level %d; it can be 0 (the default) to %d", s.Compression, s.Level, k.levels)
	}
	if s.Level == 0 {
		s.Level = k.level
	}
	return s, nil
}
