package mkfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// loadModule gives a module to the kernel. One for hardware that is not there
// refuses, which is no failure.
func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("loading the module %s: %w", filepath.Base(file), err)
	}
	return nil
}

// patience is how long devices may take to appear.
const patience = 30 * time.Second

// await asks until there is an answer.
func await(what string, ask func() string) (string, error) {
	for until := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if found := ask(); found != "" {
			return found, nil
		}
		if time.Now().After(until) {
			return "", fmt.Errorf("%s does not appear", what)
		}
	}
}

// byFile finds the device whose file of sysfs says what is wanted.
func byFile(pattern, want string) string {
	files, _ := filepath.Glob(pattern)
	for _, file := range files {
		data, err := os.ReadFile(file)
		device := "/dev/" + filepath.Base(filepath.Dir(file))
		if err == nil && strings.TrimSpace(string(data)) == want && unix.Access(device, unix.F_OK) == nil {
			return device
		}
	}
	return ""
}

func findDisk(serial string) (string, error) {
	return await("the disk "+serial, func() string { return byFile("/sys/block/vd*/serial", serial) })
}

func openPort(name string) (*os.File, error) {
	path, err := await("the port "+name, func() string { return byFile("/sys/class/virtio-ports/*/name", name) })
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func mount(j *job, device string, flags uintptr) error {
	if err := unix.Mount(device, target, j.Filesystem, flags|unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mounting the %s: %w", j.Filesystem, err)
	}
	return nil
}

func unmount() error {
	if err := unix.Unmount(target, 0); err != nil {
		return fmt.Errorf("unmounting: %w", err)
	}
	return nil
}

// syncTarget writes everything out, so that a lack of room is found.
func syncTarget() error {
	f, err := os.Open(target)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("writing the volume out: %w", err)
	}
	return nil
}

// explain says what to do about a volume that is too small.
func explain(err error, m *tree.Manifest) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: the tree has %dM of contents, make the volume larger", err, m.Size()>>20)
	}
	return err
}
