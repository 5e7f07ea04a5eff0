package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// nodes are shown in every machine; device nodes cannot be made in a user
// namespace, so the host's are bound.
var nodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

var devLinks = map[string]string{
	"fd":     "/proc/self/fd",
	"stdin":  "/proc/self/fd/0",
	"stdout": "/proc/self/fd/1",
	"stderr": "/proc/self/fd/2",
	"ptmx":   "pts/ptmx",
}

// mountDev makes the machine's /dev and returns its console's master side.
func mountDev(root string, devices []string) (*os.File, error) {
	if err := mount(root, "tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=0755,size=4m"); err != nil {
		return nil, err
	}
	dev := filepath.Join(root, "dev")
	for _, name := range nodes {
		if err := bindNode(dev, "/dev/"+name); err != nil {
			return nil, err
		}
	}
	for _, path := range devices {
		if err := bindNode(dev, path); err != nil {
			return nil, err
		}
	}
	for name, target := range devLinks {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return nil, err
		}
	}
	// Group 5 is tty in every family; a tree without it just has no name for it.
	if err := mount(root, "devpts", "dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"); err != nil {
		return nil, err
	}
	if err := mount(root, "tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return nil, err
	}
	return makeConsole(dev)
}

// bindNode shows the host's device node path under the same name.
func bindNode(dev, path string) error {
	rel, err := filepath.Rel("/dev", path)
	if err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("device %s is not below /dev", path)
	}
	target := filepath.Join(dev, rel)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(path, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("showing the device %s: %w", path, err)
	}
	return nil
}

// makeConsole opens a terminal of the machine's own devpts as /dev/console.
func makeConsole(dev string) (*os.File, error) {
	master, slave, err := openPTY(filepath.Join(dev, "pts"))
	if err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	if err := os.Chmod(slave, 0o600); err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	console := filepath.Join(dev, "console")
	if err := os.WriteFile(console, nil, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Mount(slave, console, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	return master, nil
}

// openPTY makes a terminal in the devpts instance at dir: its master side and
// the path of its slave side.
func openPTY(dir string) (*os.File, string, error) {
	fd, err := unix.Open(filepath.Join(dir, "ptmx"), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", fmt.Errorf("opening a terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("opening a terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), "terminal"), filepath.Join(dir, strconv.Itoa(n)), nil
}
