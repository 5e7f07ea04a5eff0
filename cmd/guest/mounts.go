package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// enterRoot finishes the mounts under cfg.Root, makes it the root of this
// mount namespace and returns the master side of the machine's console. A
// fresh proc and sysfs are only permitted while the host's are still visible,
// hence the order.
func enterRoot(cfg *wire.Config) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return nil, fmt.Errorf("making a cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("making the mounts private: %w", err)
	}
	root := cfg.Root
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("binding the root: %w", err)
	}
	if err := mountKernel(root, cfg.CgroupMount); err != nil {
		return nil, err
	}
	console, err := mountDev(root, cfg.Devices)
	if err != nil {
		return nil, err
	}
	if err := mount(root, "tmpfs", "run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=20%"); err != nil {
		return nil, err
	}
	for _, m := range cfg.Mounts {
		if err := bindMount(root, m); err != nil {
			return nil, err
		}
	}
	return console, pivot(root)
}

func mountKernel(root string, cgroup bool) error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount(root, "proc", "proc", "proc", safe, ""); err != nil {
		return hint(err, "the host hides parts of its /proc from user namespaces; run slipway outside of the other container")
	}
	if err := mount(root, "sysfs", "sys", "sysfs", safe|unix.MS_RDONLY, ""); err != nil {
		return hint(err, "the host hides parts of its /sys from user namespaces; run slipway outside of the other container")
	}
	if cgroup {
		if err := mount(root, "cgroup2", "sys/fs/cgroup", "cgroup2", safe, ""); err != nil {
			return err
		}
	}
	return mask(root)
}

// masked entries tell about the host or reach for it. Their owner is not
// mapped in the machine's user namespace, which is what really protects them;
// the masks keep curious programs from asking.
var masked = []string{
	"proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/sched_debug",
	"proc/sysrq-trigger", "proc/acpi", "proc/scsi", "sys/firmware",
}

func mask(root string) error {
	for _, name := range masked {
		path := filepath.Join(root, name)
		st, err := os.Lstat(path)
		if err != nil {
			continue
		}
		if st.IsDir() {
			err = unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k,mode=0555")
		} else {
			err = unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("masking /%s: %w", name, err)
		}
	}
	return nil
}

func mount(root, source, path, kind string, flags uintptr, data string) error {
	target := filepath.Join(root, path)
	if _, err := os.Lstat(target); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s on /%s: %w", kind, path, err)
	}
	return nil
}

// bindMount shows a host path inside. Links inside the machine are resolved
// against its root, never against the host's.
func bindMount(root string, m wire.Mount) error {
	st, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("binding %s: %w", m.Path, err)
	}
	target, err := makeTarget(root, m.Path, st.IsDir())
	if err != nil {
		return fmt.Errorf("binding %s: %w", m.Path, err)
	}
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s: %w", m.Path, err)
	}
	if !m.ReadOnly {
		return nil
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("making %s read-only: %w", m.Path, err)
	}
	return nil
}

// makeTarget makes the mount point path under root, without following links
// out of it.
func makeTarget(root, path string, dir bool) (string, error) {
	at := root
	parts := strings.Split(strings.Trim(filepath.Clean("/"+path), "/"), "/")
	for i, part := range parts {
		at = filepath.Join(at, part)
		st, err := os.Lstat(at)
		switch {
		case err == nil && st.Mode()&fs.ModeSymlink != 0:
			return "", fmt.Errorf("%s is a symbolic link in the machine; name the place that it points to", "/"+strings.Join(parts[:i+1], "/"))
		case err == nil:
		case i == len(parts)-1 && !dir:
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				return "", err
			}
		default:
			if err := os.Mkdir(at, 0o755); err != nil {
				return "", err
			}
		}
	}
	return at, nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	return os.Chdir("/")
}

func hint(err error, text string) error {
	if errors.Is(err, unix.EPERM) {
		return errors.New(err.Error() + ": " + text)
	}
	return err
}
