package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// baseMount is one mount that a system needs before anything else runs.
type baseMount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

var baseMounts = []baseMount{
	{"sysfs", "/sys", "sysfs", unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSUID, ""},
	{"proc", "/proc", "proc", unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSUID, ""},
	{"udev", "/dev", "devtmpfs", unix.MS_NOSUID, "size=10240k,mode=0755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOEXEC | unix.MS_NOSUID, "gid=5,mode=0620"},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID, "size=20%,mode=0755"},
}

// mountBase makes the usual folders and mounts. What is mounted already, by a
// kernel with CONFIG_DEVTMPFS_MOUNT for example, stays.
func mountBase() error {
	for _, dir := range []string{"/dev", "/root", "/sys", "/proc", "/tmp", "/run"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, m := range baseMounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data)
		if err != nil && m.kind == "devtmpfs" && !errors.Is(err, unix.EBUSY) {
			err = mountPoorDev()
		}
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	// The kernel's log tells addresses; only root is to read it.
	os.WriteFile("/proc/sys/kernel/dmesg_restrict", []byte("1\n"), 0)
	return nil
}

// mountPoorDev stands in for a devtmpfs that the kernel does not have.
func mountPoorDev() error {
	if err := unix.Mount("udev", "/dev", "tmpfs", unix.MS_NOSUID, "size=10240k,mode=0755"); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/console", unix.S_IFCHR|0o600, int(unix.Mkdev(5, 1))); err != nil {
		return err
	}
	return unix.Mknod("/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
}
