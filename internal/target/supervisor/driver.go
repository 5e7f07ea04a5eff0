package supervisor

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/lab"
	"slipway/internal/machine"
)

// Driver knows how machines of some targets are made. Ready, Check and Parts
// are asked in the process of the caller of slipway, Open in the supervisor,
// Sweep in whatever process clears up after one that was killed. One value
// serves all machines, so it holds nothing.
type Driver interface {
	// Ready tells, before anything is built, whether this host lets its user
	// start such a machine. It may move the calling process to where it must
	// be for that (a delegated cgroup).
	Ready(ctx context.Context, name string) error
	// Check refuses a spec with which nothing can be started.
	Check(spec *Spec) error
	// Parts are what of a definition a running machine must be started again
	// for, beside its build and what every target has.
	Parts(d *machine.Definition) []Part
	// Open prepares the machine's storage in its run folder, which is the
	// current folder.
	Open(h *Host) (Body, error)
	// Sweep removes what a run's Traces name. caller is the id that stands for
	// the caller of slipway in this process; 0: none does.
	Sweep(traces []string, caller int) error
}

// Part is a named part of a definition.
type Part struct {
	Name  string
	Value any
}

// Body is what of a machine lasts over its restarts.
type Body interface {
	// Start starts one run of the machine; its Config has been sent to the guest.
	Start() (Run, error)
	// Reset throws away what the machine has written, its state apart.
	Reset() error
	// Written is the number of bytes that the machine has written since it was built.
	Written() int64
	// Close removes what is not kept. What lies in the run folder of a machine
	// that keeps nothing goes with the folder.
	Close() error
}

// Run is one run of a machine, from its start to the end of its init.
type Run interface {
	Agent() io.ReadWriteCloser // the stream of the guest's agent; nil: it has none, and is Staged
	Console() io.ReadWriter    // the machine's console; nil: the agent passes it on
	PID() int                  // as ls shows it
	Traces() []string          // what Sweep needs to know
	Link() *Attachment         // the machine's place in the lab
	Exited() <-chan struct{}   // closed when the run is over
	End() Ending               // how; after Exited
	PowerOff() error           // asks for an orderly end where no agent answers
	Kill()                     // ends it at once; returns when it has ended
	Memory() int64             // bytes in use
	Close() error              // removes what the run needed; it has ended
}

// Staged is a Run that knows how far a machine is before its agent answers.
type Staged interface {
	// Stages tells of every stage as it ends, or fails with an Err.
	Stages() <-chan Stage
	// Event takes in what the guest says of its stages.
	Event(text string)
	// Settle tells at once of the stages that have ended but were kept back
	// until their times would be known better.
	Settle()
	// Waiting names the stage that has not ended, and tells how long it may
	// still take.
	Waiting() (stage string, left time.Duration)
}

// Explained is a Run that knows more about a stage that does not end.
type Explained interface {
	// Explain says what was seen and what to do; empty: nothing is known.
	Explain() string
}

// Stage is the end of a step on the way up.
type Stage struct {
	Name string
	At   time.Time
	Err  error // it failed
}

// StageError is a failure on the way up that belongs to a stage.
type StageError struct {
	Stage string
	Err   error
}

func (e *StageError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StageError) Unwrap() error { return e.Err }

// Ending is how one run of the machine ended.
type Ending struct {
	State  State
	Reason string
	Reboot bool // the machine asked for a new start
	asked  bool // somebody outside asked for a new start
}

// drivers is the table of targets.
var drivers = struct {
	sync.Mutex
	of map[string]Driver
}{of: map[string]Driver{}}

// Register makes machines of targets startable. It is called before main: the
// supervisor is another run of this program.
func Register(d Driver, targets ...string) {
	drivers.Lock()
	defer drivers.Unlock()
	for _, name := range targets {
		if drivers.of[name] != nil {
			panic("supervisor: target " + name + " registered twice")
		}
		drivers.of[name] = d
	}
}

// Targets lists the targets that have a driver.
func Targets() []string {
	drivers.Lock()
	defer drivers.Unlock()
	var names []string
	for name := range drivers.of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DriverOf finds the driver of a target.
func DriverOf(target string) (Driver, error) {
	drivers.Lock()
	d := drivers.of[target]
	drivers.Unlock()
	if d == nil {
		return nil, fmt.Errorf("there is no target %q; there are %s", target, strings.Join(Targets(), ", "))
	}
	return d, nil
}

// Host is what the supervisor gives to a driver.
type Host struct {
	Spec   Spec
	IDs    IDMap // of the private range, as this process sees them
	User   bool  // runs without host root
	Caller int   // id that stands for the caller of slipway; 0: it is root

	s *supervisor
}

// Attach gives the machine its place in the lab by connect, which makes its
// interface. Isolated machines get an empty one.
func (h *Host) Attach(connect func(context.Context, *lab.Lab, lab.Machine) (*lab.Link, error)) (*Attachment, error) {
	return h.s.net.attach(h.s, connect)
}

// Lab is the lab that the machine is in.
func (h *Host) Lab() *lab.Lab { return h.s.net.lab }

// Dial connects from inside the lab; its names resolve.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.s.net.dial(ctx, network, address)
}

// Config is what the guest is told, without what only the driver knows.
func (h *Host) Config(a *Attachment) wire.Config {
	return wire.Config{
		Version: wire.Version, Hostname: h.Spec.hostname(), Init: h.Spec.initCommand(), Env: h.Spec.Env,
		UUID: h.UUID(), Files: h.s.runtimeFiles(a), Mint: h.Spec.Mint, Deadline: int(h.Spec.Stop / time.Second),
	}
}

// Own gives a file to the caller of slipway.
func (h *Host) Own(path string) error { return h.s.own(path) }

// Note tells the caller of Up something worth knowing.
func (h *Host) Note(text string) { h.s.tell(Progress{OK: true, Text: text}) }

// Reached tells that a stage has ended now.
func (h *Host) Reached(stage string) { h.s.reached(Stage{Name: stage, At: time.Now()}) }
