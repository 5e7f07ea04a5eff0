package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// keptCaps are what maintainer scripts and the programs they start need inside
// their own tree: owners, modes, ids, and signals. Everything that reaches the
// kernel itself (mounts, network set-up, tracing, modules, clock) goes.
var keptCaps = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH,
	unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_SETFCAP,
	unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_MKNOD,
	unix.CAP_AUDIT_WRITE,
}

// restrict takes rights from the calling thread and what it starts: the filter
// first, because setting it needs a capability that goes afterwards.
func restrict(noSync bool) error {
	if err := installFilter(noSync); err != nil {
		return err
	}
	return dropCaps()
}

// dropCaps empties the bounding set but for keptCaps. A program started as
// root has exactly the bounding set; one started as another user has none. The
// thread's own capabilities stay, as it still has to change ids.
func dropCaps() error {
	keep := map[uintptr]bool{}
	for _, c := range keptCaps {
		keep[c] = true
	}
	for c := uintptr(0); c <= 63; c++ {
		if keep[c] {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // past the kernel's last capability
		}
		if err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	return clearInherited()
}

// clearInherited empties the inheritable and ambient sets: a user's worker
// got through its first exec by them, and exec would hand them on.
func clearInherited() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("clearing inheritable capabilities: %w", err)
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && err != unix.EINVAL { // EINVAL: before Linux 4.3
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	return nil
}

// closeOnExecFrom marks all descriptors from first on: what the caller of
// slipway left open must not reach a program.
func closeOnExecFrom(first uint) {
	const maxFD = 1<<32 - 1
	if unix.CloseRange(first, maxFD, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for fd := first; fd < 4096; fd++ { // before Linux 5.11
		unix.CloseOnExec(int(fd))
	}
}
