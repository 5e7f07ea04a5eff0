package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"slipway/internal/machine"
)

// Reach is the way from the prober to one machine. All methods may be called
// at the same time, and should return soon after ctx has ended. A target that
// lacks a way returns ErrNoWay from it.
type Reach interface {
	// Dial connects from inside the lab, never through a port forward. The
	// address is "host:port"; names of the lab must resolve. The caller closes
	// the connection.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Exec runs a program inside the machine as root and waits for its end. An
	// error means that it could not be run; an exit status is no error.
	Exec(ctx context.Context, req ExecRequest) (ExecResult, error)
	// Terminal opens a terminal of the machine on which a login prompt is
	// offered (a serial line, a console). The caller closes it.
	Terminal(ctx context.Context) (io.ReadWriteCloser, error)
	// Address is the machine's address in the lab.
	Address() netip.Addr
	// Usage tells what the machine uses now.
	Usage(ctx context.Context) (Usage, error)
}

// ExecRequest is one program to run inside.
type ExecRequest struct {
	Args    []string // the program and its arguments; no shell is involved
	Env     []string // added to the machine's defined environment
	Stdin   []byte
	Timeout time.Duration // after which the program is killed; zero: only ctx bounds it
}

// ExecResult is how a program ended.
type ExecResult struct {
	Stdout, Stderr []byte
	Exit           int
}

// Usage is what a machine uses, in bytes.
type Usage struct {
	Memory int64         // in use by all of its processes and its page cache's dirty part
	Disk   int64         // written since it was built
	Size   int64         // of the built tree
	Uptime time.Duration // how long it took from start to up
}

// Pender is a Reach that knows which packages of the running machine have a
// newer version as of the date of the lock it was built from. The updates
// probe needs it.
type Pender interface {
	Pending(ctx context.Context) ([]string, error)
}

// Rebooter is a Reach that can switch its machine off in order and on again.
// Reboot returns when init has reached its goal once more. The reboot probe
// needs it.
type Rebooter interface {
	Reboot(ctx context.Context) error
}

// KeyHolder is a Reach that holds the private key (OpenSSH or PEM) that
// slipway made for the machine, used by ssh probes that name no key. SSHKey
// lets the key in as user before it returns it.
type KeyHolder interface {
	SSHKey(ctx context.Context, user string) ([]byte, error)
}

// SecretReader is a Reach that reads secrets for the prober; without it a
// secret's file and environment are those of the probing process.
type SecretReader interface {
	Secret(machine.Secret) (string, error)
}

// ErrNoWay means that the target has not the way in that a check needs.
var ErrNoWay = errors.New("the target has no such way in")
