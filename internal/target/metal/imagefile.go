package metal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
	"slipway/internal/image/partition"
)

// ImageFile is a raw disk image as a volume that fills a disk of some size:
// the second copy of its GPT moves to the disk's end. Nothing else changes;
// the machine grows at its first boot. A disk that is too small is an error.
func ImageFile(path string, size int64) (image.Volume, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	v := &imageFile{path: path, length: st.Size(), size: st.Size()}
	table, err := partition.Read(f, st.Size(), 0)
	if table != nil {
		v.sector = table.Sector
	}
	if errors.Is(err, partition.ErrNoTable) {
		return v, nil // a bare file system
	}
	if err != nil {
		return nil, fmt.Errorf("reading the partition table of %s: %w", path, err)
	}
	if table.Damage != "" {
		return nil, fmt.Errorf("the partition table of %s is damaged: %s; build the image again", path, table.Damage)
	}
	size -= size % int64(table.Sector)
	if table.Kind == partition.MBR || size <= st.Size() {
		return v, nil
	}
	old, err := table.Tail()
	if err != nil {
		return nil, err
	}
	if table, err = table.Resized(size, 0); err != nil {
		return nil, fmt.Errorf("fitting the partition table of %s to the disk: %w", path, err)
	}
	if v.head, err = table.Head(); err != nil {
		return nil, err
	}
	if v.tail, err = table.Tail(); err != nil {
		return nil, err
	}
	v.length -= int64(len(old)) // the old copy is left out
	v.size = size
	return v, nil
}

type imageFile struct {
	path       string
	length     int64 // of the file that is taken
	size       int64 // of the volume
	head, tail []byte
	sector     int // of its table, bytes; 0: it has none
}

// tableSector implements tabled.
func (v *imageFile) tableSector() int { return v.sector }

// skips implements skipping.
func (v *imageFile) skips() int64 { return max(0, v.size-v.length-int64(len(v.tail))) }

// tabled is a volume that may bring a partition table.
type tabled interface{ tableSector() int }

func (v *imageFile) Size() int64 { return v.size }

func (v *imageFile) Write(ctx context.Context, w io.Writer) error {
	f, err := os.Open(v.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := w.Write(v.head); err != nil {
		return err
	}
	if err := copySparse(ctx, w, f, int64(len(v.head)), v.length); err != nil {
		return fmt.Errorf("copying %s: %w", v.path, err)
	}
	if err := image.Skip(w, v.size-v.length-int64(len(v.tail))); err != nil {
		return err
	}
	_, err = w.Write(v.tail)
	return err
}

// copySparse copies a part of a file, its holes as holes.
func copySparse(ctx context.Context, w io.Writer, f *os.File, at, end int64) error {
	fd := int(f.Fd())
	for at < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = end, nil
		}
		if err != nil {
			data = at // no holes are known here
		}
		data = min(data, end)
		if err := image.Hole(w, data-at); err != nil {
			return err
		}
		hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			hole = end
		}
		if hole = min(hole, end); hole > data {
			if _, err := io.Copy(w, io.NewSectionReader(f, data, hole-data)); err != nil {
				return err
			}
		}
		at = max(hole, data)
	}
	return nil
}
