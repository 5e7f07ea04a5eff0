package http

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// smallWindow makes a client that takes little at once.
func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) }); e != nil {
		return e
	}
	return err
}
