package power

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lines are the modem lines of a port (ioctl_tty(2), TIOCMBIS and TIOCMBIC).
type lines interface {
	set(l Line, on bool) error
	io.Closer
}

// On presses the button.
func (s *Serial) On(ctx context.Context, machine string, _ net.HardwareAddr) (err error) {
	open := s.open
	if open == nil {
		open = openTTY
	}
	port, err := open(s.Device)
	if err != nil {
		return fmt.Errorf("turning on %s by %s of %s: %w", machine, s.Line, s.Device, err)
	}
	defer func() {
		// Whatever happened, the button is let go.
		err = errors.Join(err, port.set(s.Line, false), port.Close())
		if err != nil {
			err = fmt.Errorf("turning on %s by %s of %s: %w", machine, s.Line, s.Device, err)
		}
	}()
	// Opening a port raises both lines; the button must be seen to go down.
	for _, l := range []Line{DTR, RTS} {
		if err := port.set(l, false); err != nil {
			return err
		}
	}
	if err := pause(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	if err := port.set(s.Line, true); err != nil {
		return err
	}
	hold := s.Hold
	if hold == 0 {
		hold = 500 * time.Millisecond
	}
	return pause(ctx, hold)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type tty struct{ f *os.File }

// openTTY opens a serial port without waiting for a carrier and without making
// it our terminal.
func openTTY(device string) (lines, error) {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCMGET); err != nil {
		f.Close()
		return nil, fmt.Errorf("it is no serial port with modem lines: %w", err)
	}
	return tty{f}, nil
}

func (t tty) set(l Line, on bool) error {
	bit := map[Line]int{DTR: unix.TIOCM_DTR, RTS: unix.TIOCM_RTS}[l]
	request := uint(unix.TIOCMBIC)
	if on {
		request = unix.TIOCMBIS
	}
	return unix.IoctlSetPointerInt(int(t.f.Fd()), request, bit)
}

func (t tty) Close() error { return t.f.Close() }
