package install

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// runlevels is what Alpine's installer gives a machine: OpenRC by itself starts
// nothing (rc-update(8)). A container starts what does not need hardware.
var runlevels = []struct {
	level, service string
	container      bool
}{
	{"sysinit", "devfs", false}, {"sysinit", "dmesg", false}, {"sysinit", "mdev", false}, {"sysinit", "hwdrivers", false},
	{"boot", "hwclock", false}, {"boot", "modules", false}, {"boot", "sysctl", false}, {"boot", "hostname", false},
	{"boot", "bootmisc", true}, {"boot", "syslog", true}, {"boot", "root", false}, {"boot", "fsck", false},
	{"boot", "localmount", false}, {"boot", "swap", false}, {"boot", "seedrng", false},
	{"shutdown", "killprocs", true}, {"shutdown", "savecache", true}, {"shutdown", "mount-ro", false},
}

// Runlevels gives OpenRC the services that every machine starts with, as far as
// the tree has them, and in a container takes the terminals out of inittab that
// it has not.
func (in *Installer) Runlevels(container bool) error {
	for _, r := range runlevels {
		if container && !r.container || !in.root.Exists("etc/init.d/"+r.service) {
			continue
		}
		dir := "etc/runlevels/" + r.level
		if err := in.root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("setting up OpenRC: %w", err)
		}
		d, base, err := in.root.Parent(dir + "/" + r.service)
		if err != nil {
			return fmt.Errorf("setting up OpenRC: %w", err)
		}
		if err := unix.Symlinkat("/etc/init.d/"+r.service, d.FD, base); err != nil && err != unix.EEXIST {
			return fmt.Errorf("setting up OpenRC: /%s: %w", dir, err)
		}
	}
	if !container {
		return nil
	}
	data, err := in.root.Read("etc/inittab")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("setting up OpenRC: %w", err)
	}
	return in.rewrite("etc/inittab", []byte(withoutTerminals(string(data))))
}

// withoutTerminals comments out the lines that want a getty on a virtual
// terminal: a container has none, and init would try again for ever.
func withoutTerminals(inittab string) string {
	lines := strings.SplitAfter(inittab, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "tty") && strings.Contains(line, "respawn") && strings.Contains(line, "getty") {
			lines[i] = "#" + line
		}
	}
	return strings.Join(lines, "")
}
