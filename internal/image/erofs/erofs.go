// Package erofs writes EROFS images, the read-only filesystem of Linux, for
// kernels since 5.13 (Documentation/filesystems/erofs.rst in its source).
//
// Blocks are of 4 KiB. Ends of files that are small lie beside their inode.
// Files are compressed with LZ4 by default: pieces of 128 KiB each into as many
// blocks as they need ("big physical clusters"), with the full form of the
// index, which all these kernels read. Hard links, devices, sockets and
// extended attributes are kept.
//
// It is not a reader, and it does not use what later kernels can do:
// fragments, deduplication, chunks, other algorithms.
package erofs

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
	"slipway/internal/tree"
)

const (
	blockSize = 4096
	labelSize = 16
)

// Writer writes an image, compressed unless it is Plain.
type Writer struct {
	Plain  bool                // contents uncompressed
	Volume image.VolumeOptions // for Write; its Epoch is that of the Options
}

var _ image.Writer = Writer{}

// Write implements image.Writer.
func (w Writer) Write(ctx context.Context, out io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	w.Volume.Epoch = opt.Epoch
	v, err := w.Plan(ctx, m, c, w.Volume)
	if err != nil {
		return err
	}
	defer v.(io.Closer).Close()
	return v.Write(ctx, out)
}

// Plan lays out a compressed image; see Writer.Plan.
func Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	return Writer{}.Plan(ctx, m, c, opt)
}

// Plan lays out an image. What gets smaller by compression is compressed now,
// into a temporary file that has no name; the rest is read when the volume is
// written. The manifest must stay as it is until then. Sector is of no
// meaning here.
func (w Writer) Plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	v, err := w.plan(ctx, m, c, opt)
	if err != nil {
		return nil, fmt.Errorf("laying out an erofs image: %w", err)
	}
	return v, nil
}

func (w Writer) plan(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (*volume, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if len(opt.Label) > labelSize {
		return nil, fmt.Errorf("label %q is longer than %d bytes", opt.Label, labelSize)
	}
	v := &volume{content: c, opt: opt}
	if err := v.collect(m); err != nil {
		return nil, err
	}
	v.setTimes()
	if !w.Plain {
		if err := v.compress(ctx); err != nil {
			return nil, err
		}
	}
	if err := v.place(); err != nil {
		return nil, err
	}
	return v, ctx.Err()
}

// volume is an image that was laid out.
type volume struct {
	content tree.Content
	opt     image.VolumeOptions
	inodes  []*inode // the root first; in the order of the manifest

	buildTime time   // of compact inodes
	spool     *spool // compressed contents, in the order of inodes; nil if none
	metaEnd   int64  // bytes before the first data block
	blocks    int64  // all used
	size      int64
}

type time struct {
	sec  int64
	nsec uint32
}

// Size implements image.Volume.
func (v *volume) Size() int64 { return v.size }

// Close gives the temporary file back, if there is one. A volume that is not
// closed does so when it is collected.
func (v *volume) Close() error {
	if v.spool == nil {
		return nil
	}
	return v.spool.f.Close()
}
