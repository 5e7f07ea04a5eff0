// Package ext4 writes trees as ext4 filesystems, natively and in one pass.
//
// What it makes is an ordinary ext4 to be mounted read-write: journal,
// metadata checksums, extents, indexed folders, extended attributes in the
// inode and in shared blocks, nanoseconds, flexible groups, and room in its
// descriptors to be grown while mounted. The feature set is conservative, so
// that boot loaders read it: no metadata_csum_seed, orphan_file, inline_data,
// and 64bit only beyond 16 TiB. Blocks have 4096 bytes, inodes 256.
//
// It is no allocator: blocks and inodes are used in order, without gaps, and
// everything is known before the first byte is written. Files keep no holes,
// but their zeros are left out of a sparse image. Groups that hold nothing are
// marked so and cost nothing.
//
// The format is described at https://docs.kernel.org/filesystems/ext4/.
package ext4

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"slipway/internal/image"
	"slipway/internal/tree"
)

const maxLabel = 16

// Plan lays out a tree as a filesystem of opt.Size bytes, or of the smallest
// size with opt.Free bytes free. It keeps the manifest and the content. A tree
// that does not fit, or that ext4 cannot hold, is an error.
func Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	if err := checkOptions(opt); err != nil {
		return nil, fmt.Errorf("planning an ext4 filesystem: %w", err)
	}
	p, err := newPlan(ctx, m, c, opt)
	if err != nil {
		return nil, fmt.Errorf("planning an ext4 filesystem: %w", err)
	}
	return volume{p}, nil
}

func checkOptions(opt image.VolumeOptions) error {
	switch {
	case len(opt.Label) > maxLabel:
		return fmt.Errorf("label %q: %d bytes, ext4 allows %d", opt.Label, len(opt.Label), maxLabel)
	case opt.Size < 0 || opt.Free < 0:
		return fmt.Errorf("a size of %d with %d bytes free", opt.Size, opt.Free)
	case opt.Sector != 0 && opt.Sector != 512 && opt.Sector != 4096:
		return fmt.Errorf("sectors of %d bytes; 512 and 4096 are possible", opt.Sector)
	}
	return nil
}

type volume struct{ p *plan }

// Size implements image.Volume.
func (v volume) Size() int64 { return v.p.volume.Size }

// Write implements image.Volume. It opens contents ahead of their turn, some
// at the same time.
func (v volume) Write(ctx context.Context, w io.Writer) error {
	if err := v.p.write(ctx, w); err != nil {
		return fmt.Errorf("writing an ext4 filesystem: %w", err)
	}
	return nil
}

// Writer writes a filesystem as an image of its own. Without Size and Free
// an eighth of the tree stays free, and without UUID one follows from the
// tree.
type Writer struct{ Options image.VolumeOptions }

var _ image.Writer = Writer{}

// Write implements image.Writer.
func (x Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	o := x.Options
	if opt.Epoch > 0 {
		o.Epoch = opt.Epoch
	}
	if o.Size == 0 && o.Free == 0 {
		o.Free = m.Size()/8 + 1<<20
	}
	if o.UUID == ([16]byte{}) {
		o.UUID = treeUUID(m)
	}
	v, err := Plan(ctx, m, c, o)
	if err != nil {
		return err
	}
	return v.Write(ctx, w)
}

// treeUUID names a tree by its paths and contents, in the form of RFC 9562,
// version 8.
func treeUUID(m *tree.Manifest) (u [16]byte) {
	h := sha256.New()
	for i := range m.Entries {
		e := &m.Entries[i]
		fmt.Fprintf(h, "%s\x00%s\x00", e.Path, e.Target)
		h.Write(e.Digest[:])
	}
	copy(u[:], h.Sum(nil))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return u
}
