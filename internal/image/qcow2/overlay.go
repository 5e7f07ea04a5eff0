package qcow2

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Overlay makes an empty image that shows another one, and takes what is
// written to it. backing is a path as QEMU will find it, relative to the
// folder of the overlay; format is raw or qcow2. size is that of the disk; 0
// takes that of the backing image. The file must not be there yet.
func Overlay(path, backing, format string, size int64) error {
	return OverlayHiding(path, backing, format, size)
}

// Range is a part of a disk, in bytes.
type Range struct{ Offset, Length int64 }

// OverlayHiding makes an overlay in which parts of the image below read as
// zeros: all whole clusters in hidden, which are in order.
func OverlayHiding(path, backing, format string, size int64, hidden ...Range) error {
	if err := overlay(path, backing, format, size, hidden); err != nil {
		return fmt.Errorf("making an overlay over %s: %w", backing, err)
	}
	return nil
}

func overlay(path, backing, format string, size int64, hidden []Range) (err error) {
	if backing == "" || format != "raw" && format != "qcow2" {
		return fmt.Errorf("format %q: want raw or qcow2", format)
	}
	if size == 0 {
		if size, err = sizeOf(resolve(path, backing), format); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	b, err := newBuilder(f, &header{size: size, backing: backing, backingFormat: format})
	for _, r := range hidden {
		for i := clusters(r.Offset); err == nil && (i+1)*clusterSize <= min(r.Offset+r.Length, size); i++ {
			err = b.entry(i, flagZero)
		}
	}
	if err == nil {
		_, err = b.finish()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// resolve is the path of a backing file that an overlay names.
func resolve(overlay, backing string) string {
	if filepath.IsAbs(backing) {
		return backing
	}
	return filepath.Join(filepath.Dir(overlay), backing)
}

// sizeOf is the size of the disk in an image.
func sizeOf(path, format string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || format == "raw" {
		return st.Size(), err
	}
	i, err := Open(f, st.Size())
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}
