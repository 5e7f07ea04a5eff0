package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// devNodes are bound from the host, because a user namespace cannot make
// device nodes. They are the ones every program may expect; none reaches
// hardware.
var devNodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

// devLinks are what a booted system has in /dev besides nodes.
var devLinks = [][2]string{
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
	{"ptmx", "pts/ptmx"},
}

// mountDev makes a small private /dev.
func (s *stage) mountDev(root *os.File) error {
	if err := mountOn(root, "dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m,nr_inodes=256"); err != nil {
		return err
	}
	dev, err := openIn(root, "dev", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("finding /dev: %w", err)
	}
	defer dev.Close()
	base := fdPath(dev) + "/"
	for _, name := range devNodes {
		if err := bindNode("/dev/"+name, base+name); err != nil {
			return err
		}
	}
	for _, l := range devLinks {
		if err := os.Symlink(l[1], base+l[0]); err != nil {
			return fmt.Errorf("making /dev/%s: %w", l[0], err)
		}
	}
	for _, d := range []string{"pts", "shm"} {
		if err := os.Mkdir(base+d, 0o755); err != nil {
			return fmt.Errorf("making /dev/%s: %w", d, err)
		}
	}
	if err := mountDevpts(base + "pts"); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", base+"shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mounting tmpfs on /dev/shm: %w", err)
	}
	return nil
}

// mountDevpts gives slave terminals to the group tty, 5 in every distribution;
// in a worker of a root without that group the mapping lacks it: go without.
func mountDevpts(target string) error {
	const flags = unix.MS_NOSUID | unix.MS_NOEXEC
	err := unix.Mount("devpts", target, "devpts", flags, "newinstance,ptmxmode=0666,mode=620,gid=5")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("devpts", target, "devpts", flags, "newinstance,ptmxmode=0666,mode=620")
	}
	if err != nil {
		return fmt.Errorf("mounting devpts on /dev/pts: %w", err)
	}
	return nil
}

// bindNode binds one node; a host without it (itself a sandbox) is tolerated.
func bindNode(source, target string) error {
	if _, err := os.Lstat(source); err != nil {
		return nil
	}
	fd, err := unix.Open(target, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("making a place for %s: %w", source, err)
	}
	unix.Close(fd)
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s: %w", source, err)
	}
	return nil
}
