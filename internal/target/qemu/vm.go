package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"slipway/internal/target/qemu/qmp"
)

// VM is a started machine. Its methods may be called at the same time.
type VM struct {
	Name   string
	PID    int   // of QEMU
	Accel  Accel // how it runs
	Shares []Share
	// Console is the serial port. It must be read: a guest whose port is full
	// waits. Agent is the host's side of the port AgentPort, nil without one.
	// The caller closes both; they end when QEMU does.
	Console net.Conn
	Agent   net.Conn
	QMP     *qmp.Client

	config  *Config
	qemu    *process
	helpers []*process
	stderr  *tail
	oom     int64 // the host's count of such kills at the start

	events chan Event
	seen   chan struct{} // closed when all events were noted
	mu     sync.Mutex
	reason string // of the last SHUTDOWN
	panic  string // what the guest said of its panic
	asked  bool   // we ended it
	jobs   int
}

// Event is something that happened to the machine: RESET, SHUTDOWN, POWERDOWN,
// STOP, RESUME, GUEST_PANICKED and whatever else QEMU tells.
type Event = qmp.Event

// Events gives what happens, and is closed when QEMU has gone. It need not be
// read.
func (v *VM) Events() <-chan Event { return v.events }

// watch notes what matters for the end while it passes events on.
func (v *VM) watch() {
	v.events, v.seen = make(chan Event, 256), make(chan struct{})
	go func() {
		defer close(v.events)
		defer close(v.seen)
		for e := range v.QMP.Events() {
			v.note(e)
			select {
			case v.events <- e:
			default: // nobody listens
			}
		}
	}()
}

func (v *VM) note(e Event) {
	var data struct {
		Reason string          `json:"reason"`
		Action string          `json:"action"`
		Info   json.RawMessage `json:"info"`
	}
	json.Unmarshal(e.Data, &data)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Name {
	case "SHUTDOWN":
		v.reason = data.Reason
	case "GUEST_PANICKED":
		v.panic = strings.TrimSpace("the guest's kernel panicked " + string(data.Info))
	}
}

// Continue lets a paused guest run.
func (v *VM) Continue(ctx context.Context) error { return v.QMP.Run(ctx, "cont", nil, nil) }

// Pause stops the guest until Continue.
func (v *VM) Pause(ctx context.Context) error { return v.QMP.Run(ctx, "stop", nil, nil) }

// PowerDown presses the power button: the guest is asked to end by itself.
func (v *VM) PowerDown(ctx context.Context) error {
	return v.QMP.Run(ctx, "system_powerdown", nil, nil)
}

// Reset presses the reset button.
func (v *VM) Reset(ctx context.Context) error { return v.QMP.Run(ctx, "system_reset", nil, nil) }

// EndAtReset makes the next reset by the guest end the machine, as NoReboot does
// from the beginning.
func (v *VM) EndAtReset(ctx context.Context) error {
	return v.QMP.Run(ctx, "set-action", map[string]string{"reboot": "shutdown"}, nil)
}

// Status is QEMU's word for the state: running, paused, shutdown,
// internal-error, guest-panicked, ...
func (v *VM) Status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := v.QMP.Run(ctx, "query-status", nil, &s)
	return s.Status, err
}

// Quit pulls the plug: QEMU writes its images back and ends, and is killed if
// it does not within the context or ten seconds. It waits for the end.
func (v *VM) Quit(ctx context.Context) error {
	v.mu.Lock()
	v.asked = true
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := v.QMP.Run(ctx, "quit", nil, nil)
	if errors.Is(err, qmp.ErrClosed) {
		err = nil
	}
	select {
	case <-v.qemu.ended:
	case <-ctx.Done():
		v.qemu.kill()
	}
	v.Wait()
	return err
}

// Stop asks the guest to end and pulls the plug when it has not within grace.
// It tells whether the guest ended by itself.
func (v *VM) Stop(ctx context.Context, grace time.Duration) (graceful bool, err error) {
	err = v.PowerDown(ctx)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if err == nil {
		select {
		case <-v.qemu.ended:
			v.Wait()
			return true, nil
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return false, v.Quit(context.WithoutCancel(ctx))
}

// Done is closed when QEMU has gone.
func (v *VM) Done() <-chan struct{} { return v.qemu.ended }

// Wait waits until QEMU has gone and tells why: nil when the guest switched
// itself off (or was reset, with NoReboot) or Quit was called, else an
// *EndError. It may be called any number of times.
func (v *VM) Wait() error {
	<-v.qemu.ended
	for _, h := range v.helpers {
		h.kill()
	}
	select {
	case <-v.seen: // the last events may be on their way
	case <-time.After(time.Second):
	}
	return v.verdict()
}

// EndError says how a machine ended that should not have.
type EndError struct {
	Machine string
	Reason  string // a sentence
	Panic   bool   // the guest's kernel panicked
	Memory  bool   // the host had no memory left
	Stderr  []string
}

func (e *EndError) Error() string {
	text := fmt.Sprintf("machine %s: %s", e.Machine, e.Reason)
	if len(e.Stderr) > 0 {
		text += ": " + strings.Join(e.Stderr, "\n")
	}
	return text
}

func (v *VM) verdict() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := &EndError{Machine: v.Name, Stderr: v.stderr.lines()}
	signal, signalled := v.qemu.signalled()
	switch {
	case v.panic != "":
		e.Panic, e.Reason, e.Stderr = true, v.panic, nil
	case v.asked:
		return nil
	case signalled && signal == syscall.SIGKILL && oomKills() > v.oom, strings.Contains(strings.Join(e.Stderr, "\n"), "Cannot allocate memory"):
		e.Memory, e.Reason = true, fmt.Sprintf("out of memory: the host killed QEMU, which wanted %s", Bytes(v.config.Memory))
	case signalled:
		e.Reason = fmt.Sprintf("QEMU was killed by signal %d (%v)", int(signal), signal)
	case v.qemu.err != nil:
		e.Reason = fmt.Sprintf("QEMU died (%v)", v.qemu.err)
	case v.reason == "host-signal" || v.reason == "host-error":
		e.Reason = "QEMU was ended from outside (" + v.reason + ")"
	default:
		return nil
	}
	return e
}

// End is QEMU's word for why the guest ended: guest-shutdown, guest-reset,
// guest-panic, host-qmp-quit, ...; "" when it was killed. Valid after Wait.
func (v *VM) End() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reason
}

// oomKills counts what the kernel has killed for lack of memory since the host
// started; 0 where it does not say.
func oomKills() int64 {
	f, err := os.Open("/proc/vmstat")
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			n, _ := strconv.ParseInt(rest, 10, 64)
			return n
		}
	}
	return 0
}
