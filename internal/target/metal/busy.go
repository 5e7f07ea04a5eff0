package metal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// BusyError says why a disk is not written to.
type BusyError struct {
	Device string
	Why    string
	Remedy string
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is in use: %s; %s", e.Device, e.Why, e.Remedy)
}

// part is a disk, or a partition of it, as the kernel knows it.
type part struct {
	name   string // sda1
	number string // 8:1
}

// parts lists a disk and its partitions.
func (d *Device) parts() []part {
	if d.File {
		return nil
	}
	dir := filepath.Join(d.sys, "class/block", d.kernel)
	out := []part{{d.kernel, d.attribute("dev")}}
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		number, err := os.ReadFile(filepath.Join(dir, n.Name(), "dev"))
		if _, isPart := os.Stat(filepath.Join(dir, n.Name(), "partition")); err == nil && isPart == nil {
			out = append(out, part{n.Name(), strings.TrimSpace(string(number))})
		}
	}
	return out
}

// Idle tells with an error if something uses the disk: a mount in any of the
// kernel's mount tables that we can see, swap, a device made of it (LVM, RAID,
// encryption, a loop device of a file), or anyone who holds it exclusively.
func (d *Device) Idle() error {
	if d.ReadOnly {
		return d.readOnly()
	}
	if d.File {
		return d.fileIdle()
	}
	for _, p := range d.parts() {
		if where := mountOf("/proc/self/mountinfo", p.number); where != "" {
			return d.mounted(p.name, where)
		}
		if swapOf("/proc/swaps", p.number) {
			return &BusyError{d.Path, fmt.Sprintf("/dev/%s is active swap", p.name), "swapoff /dev/" + p.name}
		}
		holders, _ := os.ReadDir(filepath.Join(d.sys, "class/block", p.name, "holders"))
		if len(holders) > 0 {
			return &BusyError{d.Path, fmt.Sprintf("/dev/%s is part of %s", p.name, holders[0].Name()), "stop what is made of it (LVM, RAID, encryption)"}
		}
	}
	// The kernel lets one holder in at a time: a filesystem, a volume group, another slipway.
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err == unix.EBUSY {
		return &BusyError{d.Path, "the kernel says that something holds it", "end what uses it"}
	}
	if err != nil {
		return d.opening(err)
	}
	return unix.Close(fd)
}

// opening says why a disk could not be opened, and who could.
func (d *Device) opening(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("opening %s: %w: this needs root, or the rights of its group", d.Path, err)
	}
	return fmt.Errorf("opening %s: %w", d.Path, err)
}

func (d *Device) readOnly() error {
	if d.File {
		return fmt.Errorf("%s is read-only to you: chmod u+w %s, or choose another", d.Path, d.Path)
	}
	return fmt.Errorf("%s is read-only: look for a switch on it, try blockdev --setrw %s, or choose another", d.Path, d.Path)
}

func (d *Device) mounted(name, where string) error {
	why, remedy := fmt.Sprintf("/dev/%s is mounted on %s", name, where), "unmount it: umount "+where
	if where == "/" || where == "/boot" || where == "/usr" || where == "/boot/efi" {
		why, remedy = why+", this system runs from it", "start another system to write to it, from a stick or over the network"
	}
	return &BusyError{d.Path, why, remedy}
}

// fileIdle refuses a file that a loop device shows.
func (d *Device) fileIdle() error {
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if b, err := os.ReadFile(l); err == nil && strings.TrimSpace(string(b)) == d.Path {
			loop := filepath.Base(filepath.Dir(filepath.Dir(l)))
			return &BusyError{d.Path, "/dev/" + loop + " is made of it", "losetup -d /dev/" + loop + ", or write to that device"}
		}
	}
	return nil
}

// mountOf finds where a device (major:minor) is mounted.
func mountOf(table, number string) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[2] == number {
			return unescape(fields[4])
		}
	}
	return ""
}

// unescape undoes the octal escapes of mount tables.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// swapOf tells whether a device is active swap; the table names its nodes.
func swapOf(table, number string) bool {
	b, _ := os.ReadFile(table)
	for _, line := range strings.Split(string(b), "\n") {
		node, _, _ := strings.Cut(line, " ")
		var st unix.Stat_t
		if strings.HasPrefix(node, "/") && unix.Stat(unescape(node), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK &&
			fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)) == number {
			return true
		}
	}
	return false
}
