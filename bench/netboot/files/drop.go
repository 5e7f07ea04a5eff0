package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// drop has the kernel forget up to n bytes that have come.
func drop(fd int, b []byte, n int) (int, error) {
	got, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}
