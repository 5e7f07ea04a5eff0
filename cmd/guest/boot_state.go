package main

import (
	"errors"
	"fmt"

	"slipway/internal/bootfiles"

	"golang.org/x/sys/unix"
)

// mountState mounts what is kept of a machine in RAM in its fresh root, and
// shows each folder of it at its place.
func (b *booter) mountState() error {
	s := b.cfg.State
	if s == nil {
		return nil
	}
	if s.Device == "" {
		return errors.New("the machine has `state:`, and nobody said on which disk: this initramfs is to be started with slipway's program in it (rdinit=)")
	}
	device, err := b.awaitDevice(s.Device)
	if err != nil {
		return fmt.Errorf("looking for the disk that keeps state: %w", err)
	}
	if err := b.mods.load("fs-ext4"); err != nil {
		return err
	}
	kept, err := makeTarget(newRoot, bootfiles.StateMount, true)
	if err != nil {
		return err
	}
	if err := unix.Mount(device, kept, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting %s, which keeps state: %w", device, err)
	}
	for _, f := range s.Folders {
		at, err := makeTarget(newRoot, f.At, true)
		if err != nil {
			return err
		}
		if err := unix.Mount(kept+f.Path, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("showing what is kept of %s: %w", f.Path, err)
		}
	}
	return nil
}
