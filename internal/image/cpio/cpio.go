// Package cpio writes and reads trees as cpio archives in the "newc" form,
// the one that Linux unpacks as initramfs (Documentation/driver-api/
// early-userspace/buffer-format.rst in its source), plain or compressed.
//
// An archive is one compressed frame with one trailer, because GNU cpio stops
// at the first trailer and the kernel wants a trailer in every frame; see
// package compress. Kernels since 5.9 know zstd.
//
// What newc cannot hold: extended attributes, file capabilities among them
// (Lost lists those), parts of seconds, times before 1970 and after 2106
// (written as the nearest that it can), and hard links between symbolic links.
// A file of 4 GiB or more is an error.
package cpio

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/tree"
)

// Writer writes a cpio archive in some compression.
type Writer struct{ Compression compress.Format }

var _ image.Writer = Writer{}

// Write implements image.Writer. Sockets are left out.
func (c Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, content tree.Content, opt image.Options) error {
	if err := c.write(ctx, w, m, content, opt); err != nil {
		return fmt.Errorf("writing a cpio archive: %w", err)
	}
	return nil
}

func (c Writer) write(ctx context.Context, w io.Writer, m *tree.Manifest, content tree.Content, opt image.Options) error {
	if err := m.Validate(); err != nil {
		return err
	}
	z, err := c.Compression.Writer(w)
	if err != nil {
		return err
	}
	err = newArchive(z, content, opt, m).write(ctx, m)
	if cerr := z.Close(); err == nil { // in any case: it ends goroutines
		err = cerr
	}
	return err
}

// Lost lists the paths whose file capability an archive of the tree loses.
// Whoever boots the archive as a whole system has to set them again.
func Lost(m *tree.Manifest) []string {
	var lost []string
	for i := range m.Entries {
		if _, ok := m.Entries[i].Xattrs["security.capability"]; ok {
			lost = append(lost, m.Entries[i].Path)
		}
	}
	return lost
}
