package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attachLoop makes a read-only block device of a file in the initramfs. The
// device keeps the file alive when the initramfs is emptied.
func (b *booter) attachLoop(file string) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("using the image %s as root: %w", file, err) }
	if err := b.mods.load("loop"); err != nil {
		return fail(err)
	}
	image, err := os.Open(file)
	if err != nil {
		return fail(err)
	}
	defer image.Close()
	var control *os.File
	for range 200 { // devtmpfs makes the node a moment after the module
		if control, err = os.OpenFile("/dev/loop-control", os.O_RDWR, 0); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return fail(err)
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return fail(err)
	}
	path := fmt.Sprintf("/dev/loop%d", n)
	var device *os.File
	for range 200 {
		if device, err = os.OpenFile(path, os.O_RDONLY, 0); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return fail(err)
	}
	defer device.Close()
	cfg := unix.LoopConfig{Fd: uint32(image.Fd()), Size: 4096}
	cfg.Info.Flags = unix.LO_FLAGS_READ_ONLY
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &cfg); err != nil {
		return fail(err)
	}
	// Without users it stays until it is told otherwise: the mount is its user.
	return path, nil
}
