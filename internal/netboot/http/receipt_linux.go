package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errLeft = errors.New("the client left before it had everything")

// acknowledged waits until the other end's TCP has everything that was
// written. A connection that cannot tell is believed.
func acknowledged(ctx context.Context, c net.Conn, stall time.Duration) error {
	left, changed := unacknowledged(c), time.Now()
	for wait := 100 * time.Microsecond; left > 0; wait = min(wait*2, 20*time.Millisecond) {
		time.Sleep(wait)
		now := unacknowledged(c)
		switch {
		case now != left:
			left, changed = now, time.Now()
		case ctx.Err() != nil && time.Since(changed) > time.Second:
			return errLeft
		case time.Since(changed) > stall:
			return fmt.Errorf("%w: %d bytes were not acknowledged for %s", errLeft, left, stall)
		}
	}
	return nil
}

// unacknowledged is how many bytes wait in the socket or are on their way
// (SIOCOUTQ, tcp(7)); 0 where that cannot be known.
func unacknowledged(c net.Conn) int {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	if err != nil {
		return 0
	}
	return n
}
