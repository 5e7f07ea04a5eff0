// Package loop makes read-only block devices of files, in an initramfs where
// nobody else does. The driver must be there (module loop).
package loop

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Attach makes a device of a file, and gives its path. The device keeps the
// file alive when its name goes. Without users it stays until Detach, or if it
// is mounted by then until that ends.
func Attach(file string) (device string, err error) {
	if device, err = attach(file); err != nil {
		return "", fmt.Errorf("using the image %s as root: %w", file, err)
	}
	return device, nil
}

func attach(file string) (string, error) {
	image, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer image.Close()
	control, err := soon("/dev/loop-control", os.O_RDWR)
	if err != nil {
		return "", err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", err
	}
	path := fmt.Sprintf("/dev/loop%d", n)
	device, err := soon(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer device.Close()
	cfg := unix.LoopConfig{Fd: uint32(image.Fd()), Size: 4096}
	cfg.Info.Flags = unix.LO_FLAGS_READ_ONLY
	return path, unix.IoctlLoopConfigure(int(device.Fd()), &cfg)
}

// soon opens a node that devtmpfs makes a moment after the module is there.
func soon(path string, flag int) (f *os.File, err error) {
	for range 200 {
		if f, err = os.OpenFile(path, flag, 0); err == nil {
			return f, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, err
}

// Detach gives a device back.
func Detach(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
}
