// Package power turns machines on without a management controller: by a
// Wake-on-LAN packet, by a command of the user's, or by a line of a serial port
// that is wired to the machine's power button.
//
// It knows that something was sent or switched, not that a machine woke: its
// first DHCP packet tells that.
package power

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Switch turns a machine on.
type Switch interface {
	On(ctx context.Context, machine string, mac net.HardwareAddr) error
}

// Command is a program of the user's. It finds SLIPWAY_MACHINE, SLIPWAY_MAC and
// SLIPWAY_ACTION (on) in its environment.
type Command struct {
	Args  []string
	Limit time.Duration // 1 minute
}

// Serial holds one modem line of a serial port for a while: a relay or an
// optocoupler presses the button. Both lines are low before and after.
type Serial struct {
	Device string        // such as /dev/ttyS0
	Line   Line          // DTR
	Hold   time.Duration // 500 ms

	open func(device string) (lines, error) // tests have no wires
}

// Line is a modem line of a serial port that we can drive.
type Line int

// The lines.
const (
	DTR Line = iota
	RTS
)

func (l Line) String() string { return [...]string{"DTR", "RTS"}[l] }

// ParseLine reads dtr or rts.
func ParseLine(s string) (Line, error) {
	switch s {
	case "", "dtr", "DTR":
		return DTR, nil
	case "rts", "RTS":
		return RTS, nil
	}
	return 0, fmt.Errorf("line %q is neither dtr nor rts", s)
}
