package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles"
	"slipway/internal/guest/loop"
	"slipway/internal/tree"
)

// seed puts what was built into folders that are not kept yet. built is the
// machine's root, kept that of the file system which keeps them. A folder
// appears when all of it is there.
func seed(ctx context.Context, built, kept string, folders []bootfiles.KeptFolder) error {
	half := filepath.Join(kept, ".slipway-new")
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	for _, f := range folders {
		to := filepath.Join(kept, f.Path)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := copyFolder(ctx, filepath.Join(built, f.At), half); err != nil {
			return fmt.Errorf("copying what was built in %s: %w", f.Path, err)
		}
		if err := errors.Join(syncBelow(kept), os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(half, to), syncBelow(kept)); err != nil {
			return fmt.Errorf("keeping %s: %w", f.Path, err)
		}
	}
	return nil
}

// copyFolder copies a folder with owners, modes and attributes; one that was
// not built is empty.
func copyFolder(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	m, err := tree.Scan(ctx, from, tree.ScanOptions{})
	if err != nil {
		return err
	}
	return tree.Materialise(ctx, to, m, tree.DirContent(from, m), tree.MaterialiseOptions{Devices: true})
}

// syncBelow writes a file system to its disk.
func syncBelow(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// Keep implements computer.
func (m *self) Keep(ctx context.Context, device, root string, state *bootfiles.State) error {
	const kept, built = "/slipway/kept", "/slipway/built"
	if err := errors.Join(os.MkdirAll(kept, 0o755), os.MkdirAll(built, 0o755)); err != nil {
		return err
	}
	m.load("ext4", "loop", "squashfs", "erofs")
	if err := appears(device); err != nil {
		return err
	}
	if err := unix.Mount(device, kept, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w: look at it in the rescue system (e2fsck)", device, err)
	}
	err := m.seedFrom(ctx, "/"+root, built, kept, state.Folders)
	if err = errors.Join(err, unix.Unmount(kept, 0)); err != nil {
		return err
	}
	return tellHelper("/"+bootfiles.ConfigPath, device)
}

// seedFrom mounts an image of the machine's root for as long as it is needed.
func (m *self) seedFrom(ctx context.Context, image, built, kept string, folders []bootfiles.KeptFolder) error {
	device, err := loop.Attach(image)
	if err != nil {
		return err
	}
	defer loop.Detach(device)
	kind, ok := m.line.Get("rootfstype")
	if !ok {
		kind = "squashfs"
	}
	if err := unix.Mount(device, built, kind, unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the root that was fetched: %w", err)
	}
	return errors.Join(seed(ctx, built, kept, folders), unix.Unmount(built, 0))
}

// appears waits for a partition of a table that the kernel has just read.
func appears(device string) error {
	for range 100 {
		if _, err := os.Stat(device); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the partition %s did not appear", device)
}

// tellHelper writes down for the guest helper which partition keeps the state.
func tellHelper(path, device string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cfg, err := bootfiles.Decode(data)
	if err != nil {
		return err
	}
	cfg.State.Device = device
	if data, err = cfg.Encode(); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
