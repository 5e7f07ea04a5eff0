package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// uselessCaps have no effect outside of the host's own user namespace. A
// machine without them knows that it need not try: systemd leaves out units
// that could only fail.
var uselessCaps = []uintptr{
	unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME, unix.CAP_SYS_PACCT, unix.CAP_SYSLOG,
	unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND,
	unix.CAP_AUDIT_READ, unix.CAP_PERFMON,
}

// dropCaps takes them from this thread's bounding set, and so from everything
// that the machine will ever execute.
func dropCaps() error {
	for _, c := range uselessCaps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // EINVAL: unknown to this kernel
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	return nil
}
