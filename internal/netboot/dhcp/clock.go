package dhcp

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is where the server's times come from.
type Clock struct {
	Wall func() time.Time     // the time of day, which may jump
	Mono func() time.Duration // since some start, also while the host sleeps; never jumps
}

// system fills in what is not set.
func (c Clock) system() Clock {
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.Mono == nil {
		c.Mono = func() time.Duration {
			var ts unix.Timespec
			if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
				return time.Since(programStart)
			}
			return time.Duration(ts.Nano())
		}
	}
	return c
}

var programStart = time.Now()
