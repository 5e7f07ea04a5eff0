// Package image is what all image formats share: the writer's contract, the
// making of output files, and their checksums.
//
// A writer turns a manifest and its contents into a format, natively and
// deterministically: the bytes depend on nothing but its arguments, and no
// root, loop device, mount or foreign program is needed. The formats live in
// folders of their own; the table of them is in package formats.
package image

import (
	"context"
	"io"

	"slipway/internal/tree"
)

// Options of a writer. The zero value works.
type Options struct {
	// Epoch clamps times: none is written later than this (seconds). 0: as
	// they are in the manifest.
	Epoch int64
	// Arch is the machine's architecture, by its Debian name, for formats that
	// say it.
	Arch string
	// Private makes an output file that nobody but its owner may ever read,
	// because it holds secrets.
	Private bool
}

// Writer writes one format.
//
// Write reads the sorted, valid manifest and neither changes nor keeps it.
// Contents are opened one at a time, each when it is needed, and verified by
// the Content, not by the writer. What the format cannot hold is an error,
// but for sockets, which are left out where a format has none: they mean
// nothing without the process that made them. Write may be called by several
// goroutines at once. After an error what was written is useless.
type Writer interface {
	Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt Options) error
}

// Time is the time of an entry as the options want it written.
func (o Options) Time(e *tree.Entry) (sec int64, nsec uint32) {
	if o.Epoch > 0 && e.MTime >= o.Epoch {
		return o.Epoch, 0
	}
	return e.MTime, e.MNsec
}
