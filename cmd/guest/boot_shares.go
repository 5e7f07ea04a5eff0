package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountShares shows the host's folders in the mounted root.
func (b *booter) mountShares() error {
	for _, m := range b.host.Mounts {
		if m.Kind == "" {
			return fmt.Errorf("binding %s: a virtual machine has no host path to bind; it needs a share (virtiofs or 9p)", m.Path)
		}
		target, err := makeTarget(newRoot, m.Path, true)
		if err != nil {
			return fmt.Errorf("mounting the share %s: %w", m.Path, err)
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
		if m.ReadOnly {
			flags |= unix.MS_RDONLY
		}
		if err := b.mountTag(m.Kind, m.Source, target, flags, ""); err != nil {
			return fmt.Errorf("mounting the share %s: %w", m.Path, err)
		}
	}
	return nil
}
