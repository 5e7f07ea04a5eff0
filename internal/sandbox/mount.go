package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MountTmpfs mounts an empty tmpfs (nosuid, nodev) of at most size bytes (0:
// the kernel's default, half of the memory) on target.
func MountTmpfs(target string, size int64, mode os.FileMode) error {
	opt := fmt.Sprintf("mode=%o", mode.Perm())
	if size > 0 {
		opt += fmt.Sprintf(",size=%d", size)
	}
	if err := unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, opt); err != nil {
		return fmt.Errorf("mounting tmpfs on %s: %w", target, err)
	}
	return nil
}

// BindMount shows source, with all that is mounted below it, at target.
func BindMount(source, target string, readOnly bool) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", source, target, err)
	}
	if !readOnly {
		return nil
	}
	if err := setReadOnly(target); err != nil {
		return fmt.Errorf("making %s read-only: %w", target, err)
	}
	return nil
}

// setReadOnly makes a mount and those below it read-only. mount_setattr (Linux
// 5.12) changes that one flag; a remount would have to repeat all flags that
// are locked in a user namespace, and reaches one mount only.
func setReadOnly(target string) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, attr)
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return err
	}
	keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|keep, "")
}

// Unmount detaches what is mounted at target. It is no error when nothing is.
func Unmount(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmounting %s: %w", target, err)
	}
	return nil
}
