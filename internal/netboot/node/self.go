package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles/cmdline"
)

// self is this very machine.
type self struct {
	line cmdline.Line
	card *card
	say  func(format string, args ...any)
	load func(modules ...string)
}

// guestHelper is the program that brings a root up, see cmd/guest.
const guestHelper = "/init"

// HandOver becomes the guest helper, which mounts the root and starts the
// system's own init. The network is left as the system expects to find it.
func (m *self) HandOver(_ string, prove *staying) error {
	m.card.down()
	if prove != nil {
		if err := leaveProver(*prove); err != nil { // it runs all the same, and counts as a version that did not prove itself
			m.say("%v", err)
		}
	}
	// It is the first process of the initramfs now, and finds all as the kernel left it.
	for _, dir := range []string{"/dev/pts", "/run"} {
		unix.Unmount(dir, unix.MNT_DETACH)
	}
	return fmt.Errorf("starting %s: %w", guestHelper, unix.Exec(guestHelper, []string{guestHelper}, os.Environ()))
}

// Root implements computer.
func (m *self) Root() string {
	if file, ok := m.line.Get("slipway.root"); ok {
		return strings.TrimPrefix(file, "/")
	}
	return "root.squashfs"
}

// Create implements machine: the initramfs is the memory.
func (m *self) Create(name string) (file, error) {
	return os.OpenFile("/"+name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o400)
}

// Free implements computer.
func (m *self) Free() int64 {
	for _, line := range strings.Split(text("/proc/meminfo"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// Kexec implements computer.
func (m *self) Kexec(kernel, initrd, words string) error {
	k, err := os.Open("/" + kernel)
	if err != nil {
		return err
	}
	defer k.Close()
	i, err := os.Open("/" + initrd)
	if err != nil {
		return err
	}
	defer i.Close()
	if err := unix.KexecFileLoad(int(k.Fd()), int(i.Fd()), words, 0); err != nil {
		return fmt.Errorf("loading the kernel that was fetched: %w (a locked down kernel starts only what the firmware trusts: switch Secure Boot off)", err)
	}
	m.card.down()
	unix.Sync()
	return fmt.Errorf("starting the kernel that was fetched: %w", unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC))
}

// Restart implements computer.
func (m *self) Restart() error {
	unix.Sync()
	time.Sleep(500 * time.Millisecond) // so that the console is read to its end
	return fmt.Errorf("restarting: %w", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// kernelLog reads what the kernel said so far.
func kernelLog() []string {
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil)
	if err != nil {
		return nil
	}
	buf := make([]byte, n)
	if n, err = unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf); err != nil {
		return nil
	}
	return strings.Split(string(buf[:n]), "\n")
}

// consoles are those that the kernel writes to.
func consoles() []string {
	var out []string
	for _, name := range strings.Fields(text("/sys/class/tty/console/active")) {
		out = append(out, filepath.Join("/dev", name))
	}
	return out
}
