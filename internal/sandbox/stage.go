package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// setUp turns the new namespaces into the world the program sees. It runs in
// the stage process, single-minded and in this order: the mounts need the old
// root, the pivot needs the mounts.
func (s *stage) setUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount(s.Root, s.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding the root directory: %w", err)
	}
	root, err := openRoot(s.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	steps := []func(*os.File) error{s.mountDev, s.mountProc, s.openLastPID, s.protectProc, s.mountSys, s.mountRun, s.mountBinds, s.mountResolv}
	for _, step := range steps {
		if err := step(root); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if !s.Network {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	return pivot(root)
}

// pivot makes root the root directory and lets go of the old one.
func pivot(root *os.File) error {
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return fmt.Errorf("entering the root directory: %w", err)
	}
	// Old root stacked on the new one, then detached: pivot_root(2), NOTES.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root directory: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detaching the host's root: %w", err)
	}
	return os.Chdir("/")
}

// mountOn mounts a new file system on a directory of the tree.
func mountOn(root *os.File, name, fstype string, flags uintptr, options string) error {
	at, err := openIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("finding /%s: %w", name, err)
	}
	defer at.Close()
	if err := unix.Mount(fstype, fdPath(at), fstype, flags, options); err != nil {
		return fmt.Errorf("mounting %s on /%s: %w", fstype, name, err)
	}
	return nil
}

func (s *stage) mountProc(root *os.File) error {
	err := mountOn(root, "proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (parts of the outer /proc are hidden, as in most containers: run slipway on the host, or start the container with an unmasked /proc)", err)
	}
	return err
}

// kernelFiles are the parts of /proc through which a root that is mapped in the
// worker (the caller may be one) reaches the host: they become read-only.
var kernelFiles = []string{"acpi", "asound", "bus", "driver", "fs", "irq", "mtrr", "scsi", "sys", "sysrq-trigger"}

func (s *stage) protectProc(root *os.File) error {
	if s.Privileged {
		return nil // it may mount a /proc of its own, which wants a whole one
	}
	for _, name := range kernelFiles {
		at, err := openIn(root, "proc/"+name, unix.O_PATH)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("finding /proc/%s: %w", name, err)
		}
		err = bindInto(root, Bind{Source: fdPath(at), Target: "proc/" + name, ReadOnly: true})
		at.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// mountSys shows a read-only /sys where the kernel permits: it wants a network
// namespace of ours and an outer /sys without hidden parts. Scripts of packages
// cope without.
func (s *stage) mountSys(root *os.File) error {
	err := mountOn(root, "sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (s *stage) mountRun(root *os.File) error {
	if !s.RunTmpfs {
		return nil
	}
	return mountOn(root, "run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
}

func (s *stage) mountBinds(root *os.File) error {
	for _, b := range s.Binds {
		if err := bindInto(root, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) mountResolv(root *os.File) error {
	if s.Resolv == "" {
		return nil
	}
	return bindInto(root, Bind{Source: s.Resolv, Target: "etc/resolv.conf", ReadOnly: true})
}

func bindInto(root *os.File, b Bind) error {
	at, err := openIn(root, orDot(strings.TrimPrefix(b.Target, "/")), unix.O_PATH)
	if err != nil {
		return fmt.Errorf("binding %s: %w", b.Source, err)
	}
	defer at.Close()
	if err := unix.Mount(b.Source, fdPath(at), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", b.Source, b.Target, err)
	}
	if !b.ReadOnly {
		return nil
	}
	// The descriptor shows what lies below the mount: open it again.
	over, err := openIn(root, orDot(strings.TrimPrefix(b.Target, "/")), unix.O_PATH)
	if err != nil {
		return fmt.Errorf("binding %s: %w", b.Source, err)
	}
	defer over.Close()
	if err := setReadOnly(fdPath(over)); err != nil {
		return fmt.Errorf("making %s read-only: %w", b.Target, err)
	}
	return nil
}

// loopbackUp switches the interface lo on in this network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("switching lo on: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("switching lo on: %w", err)
	}
	return nil
}
