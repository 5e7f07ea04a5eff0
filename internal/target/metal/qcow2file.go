package metal

import (
	"context"
	"fmt"
	"os"

	"slipway/internal/image"
	"slipway/internal/image/qcow2"
)

// QCOW2File is what ImageFile is for a raw image. The disk is unpacked into a
// nameless file in dir first, because its table is at both of its ends.
func QCOW2File(ctx context.Context, path, dir string, size int64) (image.Volume, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	img, err := qcow2.Open(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	raw, err := os.CreateTemp(dir, "raw-")
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	os.Remove(raw.Name())
	if err := image.Sparse(ctx, raw, img); err != nil {
		raw.Close()
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	v, err := ImageFile(fmt.Sprintf("/proc/self/fd/%d", raw.Fd()), size)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return &unpacked{v, raw}, nil // the descriptor lives as long as the volume
}

type unpacked struct {
	image.Volume
	raw *os.File
}

// tableSector implements tabled.
func (u *unpacked) tableSector() int { return u.Volume.(tabled).tableSector() }

// skips implements skipping.
func (u *unpacked) skips() int64 { return u.Volume.(skipping).skips() }
