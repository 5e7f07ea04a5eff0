package mkfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
)

// volume is a file system that is made when it is first written.
type volume struct {
	maker   *Maker
	request *request

	mu   sync.Mutex
	file *os.File // when it was made; it has no name
}

var _ image.Volume = (*volume)(nil)

// Size implements image.Volume.
func (v *volume) Size() int64 { return v.request.size }

// Write implements image.Volume.
func (v *volume) Write(ctx context.Context, w io.Writer) error {
	f, err := v.made(ctx)
	if err != nil {
		return fmt.Errorf("making a %s: %w", v.request.fs.name, err)
	}
	return copyData(ctx, w, f, v.request.size)
}

// made runs the machine once. What failed is tried again when it is asked for
// again: the next caller may have more time, or more room.
func (v *volume) made(ctx context.Context) (*os.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := ctx.Err(); err != nil || v.file != nil {
		return v.file, err
	}
	step := v.maker.d.Progress.Step("make the " + v.request.fs.name + " in a virtual machine")
	f, err := v.maker.run(ctx, v.request, step)
	step.Done(err)
	if err != nil {
		return nil, err
	}
	v.file = f
	return f, nil
}

// copyData copies a file of a volume, what is zero as holes. The file's own
// offset is not used: a volume may be written twice at the same time.
func copyData(ctx context.Context, w io.Writer, f *os.File, size int64) error {
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := nextData(f, at, size)
		if err != nil {
			return err
		}
		if next > at {
			if err := image.Hole(w, next-at); err != nil {
				return err
			}
			at = next
			continue
		}
		b := buf[:min(int64(len(buf)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if err := writeHoles(w, b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// nextData is where data begins, from an offset on; the end when there is none.
func nextData(f *os.File, at, end int64) (int64, error) {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return end, nil
	case errors.Is(err, unix.EINVAL): // this file system knows no holes
		return at, nil
	}
	return min(next, end), err
}

// grain is the unit in which zeros are looked for.
const grain = 4096

var blank [grain]byte

// writeHoles writes bytes, whole zero grains as holes.
func writeHoles(w io.Writer, b []byte) error {
	for len(b) > 0 {
		n, zero := run(b)
		var err error
		if zero {
			err = image.Hole(w, int64(n))
		} else {
			_, err = w.Write(b[:n])
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// run is the longest stretch of grains at the beginning that are all zero, or
// all not.
func run(b []byte) (n int, zero bool) {
	for n < len(b) {
		k := min(grain, len(b)-n)
		is := bytes.Equal(b[n:n+k], blank[:k])
		if n == 0 {
			zero = is
		} else if is != zero {
			break
		}
		n += k
	}
	return n, zero
}
