package qcow2

import (
	"context"
	"errors"
	"fmt"
	"io"

	"slipway/internal/image"
)

// Image is an image that was opened. It is a Volume, whose content is that of
// the disk.
type Image struct {
	Version       int
	ClusterSize   int64
	Compression   Compression // of the clusters that are compressed: Deflate or Zstd
	Backing       string      // the file that shows through; empty: none
	BackingFormat string      // empty: not said

	r        io.ReaderAt
	fileSize int64
	size     int64
	bits     int // of ClusterSize
	l1       []uint64
}

var _ image.Volume = (*Image)(nil)

// ErrNoImage is what Open returns, wrapped, for what is no qcow2 image.
var ErrNoImage = errors.New("no qcow2 image")

// Open reads the header and the first table of an image of fileSize bytes. It
// is foreign input: what does not fit together, or needs a feature that is
// not read here, is an error.
func Open(r io.ReaderAt, fileSize int64) (*Image, error) {
	i := &Image{r: r, fileSize: fileSize}
	if err := i.open(); err != nil {
		return nil, fmt.Errorf("reading a qcow2 image: %w", err)
	}
	return i, nil
}

func (i *Image) open() error {
	b := make([]byte, 112)
	if n, err := i.r.ReadAt(b, 0); n < 72 && (err == nil || err == io.EOF) || n >= 4 && string(b[:4]) != magic {
		return ErrNoImage
	} else if err != nil && err != io.EOF {
		return err
	}
	i.Version, i.Compression = int(be.Uint32(b[4:])), Deflate
	length := int64(72)
	switch i.Version {
	case 2:
	case 3:
		if length = int64(be.Uint32(b[100:])); length < 104 {
			return fmt.Errorf("header of %d bytes", length)
		}
		if err := i.features(be.Uint64(b[72:]), b[104], length); err != nil {
			return err
		}
	default:
		return fmt.Errorf("version %d: want 2 or 3", i.Version)
	}
	if i.bits = int(be.Uint32(b[20:])); i.bits < 9 || i.bits > 21 {
		return fmt.Errorf("clusters of 1<<%d bytes: want 9 to 21", uint32(i.bits))
	}
	i.ClusterSize = 1 << i.bits
	if be.Uint32(b[32:]) != 0 {
		return errors.New("it is encrypted; convert it with qemu-img first")
	}
	if err := i.readBacking(be.Uint64(b[8:]), be.Uint32(b[16:]), length); err != nil {
		return err
	}
	return i.readL1(be.Uint64(b[24:]), be.Uint32(b[36:]), be.Uint64(b[40:]))
}

// features checks the incompatible ones; that counts of references may be
// wrong does not matter to who only reads.
func (i *Image) features(bits uint64, kind byte, length int64) error {
	switch {
	case bits&featureCorrupt != 0:
		return errors.New("it is marked as corrupt; repair it with qemu-img check -r all")
	case bits&featureData != 0:
		return errors.New("its data is in another file; convert it with qemu-img first")
	case bits&^(featureDirty|featureCompression) != 0:
		return fmt.Errorf("features %#x are not known here; convert it with qemu-img convert first", bits)
	case bits&featureCompression == 0 || length < 105 || kind == 0:
		return nil
	case kind != 1:
		return fmt.Errorf("compression %d: want zlib or zstd", kind)
	}
	i.Compression = Zstd
	return nil
}

// readBacking reads the name of the backing file, and the extension of the
// header that says its format.
func (i *Image) readBacking(offset uint64, size uint32, length int64) error {
	if offset == 0 {
		return nil
	}
	if size == 0 || size > 1023 || offset > uint64(i.ClusterSize)-uint64(size) {
		return fmt.Errorf("the name of the backing file: %d bytes at %d", size, offset)
	}
	b := make([]byte, offset+uint64(size))
	if _, err := i.r.ReadAt(b, 0); err != nil {
		return fmt.Errorf("the name of the backing file: %w", err)
	}
	i.Backing = string(b[offset:])
	for at := length; at+8 <= int64(offset); {
		kind, n := be.Uint32(b[at:]), int64(be.Uint32(b[at+4:]))
		if kind == 0 || n > int64(offset)-at-8 {
			break
		}
		if kind == extensionFormat {
			i.BackingFormat = string(b[at+8 : at+8+n])
		}
		at += 8 + (n+7)&^7
	}
	return nil
}

func (i *Image) readL1(size uint64, entries uint32, offset uint64) error {
	perTable := uint64(i.ClusterSize) / 8 * uint64(i.ClusterSize)
	if size > 1<<62 || (size+perTable-1)/perTable > uint64(entries) {
		return fmt.Errorf("a disk of %d bytes, and %d entries of %d each in its first table", size, entries, perTable)
	}
	i.size = int64(size)
	entries = uint32((size + perTable - 1) / perTable)
	if entries > 32<<20/8 || offset > uint64(i.fileSize) || int64(entries)*8 > i.fileSize-int64(offset) {
		return fmt.Errorf("first table of %d entries at %d of %d bytes", entries, offset, i.fileSize)
	}
	b := make([]byte, int(entries)*8)
	if _, err := i.r.ReadAt(b, int64(offset)); err != nil && len(b) > 0 {
		return fmt.Errorf("first table: %w", err)
	}
	i.l1 = make([]uint64, entries)
	for n := range i.l1 {
		i.l1[n] = be.Uint64(b[n*8:])
	}
	return nil
}

// Size implements image.Volume: the size of the disk.
func (i *Image) Size() int64 { return i.size }

// Allocated is how many bytes of the disk have data of their own.
func (i *Image) Allocated(ctx context.Context) (n int64, err error) {
	err = i.walk(ctx, func(at int64, entry uint64) error {
		if i.kind(entry) != hole {
			n += min(i.ClusterSize, i.size-at)
		}
		return nil
	})
	return n, err
}

// walk visits the L2 entry of each cluster that has one, in order.
func (i *Image) walk(ctx context.Context, visit func(at int64, entry uint64) error) error {
	per := i.ClusterSize / 8
	b := make([]byte, i.ClusterSize)
	for n, e := range i.l1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := int64(e & offsetMask)
		if offset == 0 {
			continue
		}
		if offset&(i.ClusterSize-1) != 0 || offset > i.fileSize-i.ClusterSize {
			return fmt.Errorf("reading a qcow2 image: table %d at %d of %d bytes", n, offset, i.fileSize)
		}
		if _, err := i.r.ReadAt(b, offset); err != nil {
			return fmt.Errorf("reading a qcow2 image: table %d: %w", n, err)
		}
		for j := range per {
			at := (int64(n)*per + j) * i.ClusterSize
			if at >= i.size {
				break
			}
			if e := be.Uint64(b[j*8:]); e != 0 {
				if err := visit(at, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type clusterKind byte

const (
	hole clusterKind = iota
	plain
	packed
)

func (i *Image) kind(entry uint64) clusterKind {
	switch {
	case entry&flagCompressed != 0:
		return packed
	case i.Version >= 3 && entry&flagZero != 0 || entry&offsetMask == 0:
		return hole
	}
	return plain
}
