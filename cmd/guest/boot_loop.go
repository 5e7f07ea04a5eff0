package main

import "slipway/internal/guest/loop"

// attachLoop makes a read-only block device of a file in the initramfs, which
// lives on when the initramfs is emptied: the mount is its user.
func (b *booter) attachLoop(file string) (string, error) {
	if err := b.mods.load("loop"); err != nil {
		return "", err
	}
	return loop.Attach(file)
}
