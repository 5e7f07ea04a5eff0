package squashfs

import (
	"context"
	"fmt"
	"io"
	"os"

	"slipway/internal/image"
)

// volume is a finished image: used bytes of a temporary file, padded with
// zeros.
type volume struct {
	f          *os.File
	used, size int64
}

var (
	_ image.Volume = (*volume)(nil)
	_ io.Closer    = (*volume)(nil)
)

// Size implements image.Volume.
func (v *volume) Size() int64 { return v.size }

// Close gives the temporary file back.
func (v *volume) Close() error { return v.f.Close() }

// Write implements image.Volume.
func (v *volume) Write(ctx context.Context, w io.Writer) error {
	buf := make([]byte, 512<<10)
	for off := int64(0); off < v.used; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), v.used-off)]
		if _, err := v.f.ReadAt(part, off); err != nil {
			return fmt.Errorf("reading the temporary file: %w", err)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return image.Hole(w, v.size-v.used)
}
