package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// suffix of files that are not finished. One that an interrupted run left is
// replaced by the next.
const suffix = ".slipway-new"

// replace writes a file so that it is old or new at any time, also when the
// power fails. Folders above it are made.
func replace(name string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name+suffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer os.Remove(name + suffix) // nothing to do after success
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(name+suffix, name)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w; remove a kernel that is not needed (apt-get purge linux-image-...) and run `dpkg --configure -a`", err)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: not a thing of this file system
		return err
	}
	return nil
}

// write replaces a file unless it already has that content.
func write(name string, data []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return replace(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func copyFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return replace(to, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// room checks that a number of bytes fits on the ESP beside what is there:
// nothing is removed before its successor is complete.
func (m *Machine) room(need int64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(m.esp(""), &st); err != nil {
		return fmt.Errorf("asking for the room on %s: %w", m.Config.ESP, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if need+slack > free {
		return fmt.Errorf("the EFI system partition on %s has %d MiB free, and %d are needed: remove a kernel (apt-get purge linux-image-...) and run `dpkg --configure -a`",
			m.Config.ESP, free>>20, (need+slack)>>20)
	}
	return nil
}

// slack is for entries and folders, in bytes.
const slack = 1 << 20
