package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/guest/wire"
)

// Machine is a machine that was started, as another process sees it.
type Machine struct {
	Record
	Reason     string // why it failed or stopped, or what it is doing
	Definition string // path of its file
	Key        string // of its build
	Started    time.Time
	Ready      time.Time // zero: not yet
	Restarts   int
	Keep       bool
	Style      string   // kind of init: systemd, busybox, openrc, sysv, other
	Supervisor int      // pid of the supervisor as it sees itself
	Traces     []string // what the target's driver would have to clear up
	Stages     []Mark   // of the present run, as they ended
	dir        string
	rec        full
}

// NotFoundError means that there is no machine of this name.
type NotFoundError struct {
	Name  string
	Names []string // those that are there
}

func (e *NotFoundError) Error() string {
	if len(e.Names) == 0 {
		return fmt.Sprintf("there is no machine %q; none is running", e.Name)
	}
	return fmt.Sprintf("there is no machine %q; there are %s", e.Name, strings.Join(e.Names, ", "))
}

// ErrNotRunning means that the machine is known but not running.
var ErrNotRunning = errors.New("it is not running")

// Find looks a machine up by its name. An empty runtime means RuntimeDir.
func Find(runtime, name string) (*Machine, error) {
	if runtime == "" {
		runtime = RuntimeDir()
	}
	if err := ownRuntime(runtime); err != nil {
		return nil, err
	}
	if label.MatchString(name) {
		if m, err := load(machineDir(runtime, name)); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return m, err
		}
	}
	all, err := List(runtime)
	if err != nil {
		return nil, err
	}
	missing := &NotFoundError{Name: name}
	for _, m := range all {
		missing.Names = append(missing.Names, m.Name)
	}
	return nil, missing
}

// List gives all machines of a runtime folder by name. One whose supervisor
// was killed is shown as failed.
func List(runtime string) ([]*Machine, error) {
	if runtime == "" {
		runtime = RuntimeDir()
	}
	if err := ownRuntime(runtime); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(runtime, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing machines: %w", err)
	}
	list := []*Machine{}
	for _, e := range entries {
		m, err := load(filepath.Join(runtime, "machines", e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // just starting, or just gone
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *Machine) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func load(dir string) (*Machine, error) {
	rec, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	up, err := alive(dir)
	if err != nil {
		return nil, err
	}
	if !up && (rec.State == Starting || rec.State == Running) {
		rec.State, rec.Reason, rec.PID = Failed, "its supervisor was killed", 0
	}
	return &Machine{
		Record: rec.Record, Reason: rec.Reason, Definition: rec.Definition, Key: rec.Key, Started: rec.Started,
		Ready: rec.Ready, Restarts: rec.Restarts, Keep: rec.Spec.Keep, dir: dir, rec: *rec,
		Style: rec.Style, Supervisor: rec.Supervisor, Traces: rec.Traces, Stages: rec.Stages,
	}, nil
}

// Running tells whether the machine can be reached.
func (m *Machine) Running() bool { return m.State == Starting || m.State == Running }

// Connect opens a session with the supervisor, which answers what serve.go
// lists and passes the rest on to the guest.
func (m *Machine) Connect(ctx context.Context) (*wire.Session, error) {
	var conn net.Conn
	err := shortPath(filepath.Join(m.dir, socketFile), func(path string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", path)
		return err
	})
	if err != nil {
		if up, lockErr := alive(m.dir); lockErr == nil && !up {
			err = ErrNotRunning
		}
		return nil, fmt.Errorf("reaching machine %s: %w", m.Name, err)
	}
	return wire.Client(conn, nil), nil
}

// call makes one request that needs no data.
func (m *Machine) call(ctx context.Context, req wire.Request) (wire.Reply, error) {
	session, err := m.Connect(ctx)
	if err != nil {
		return wire.Reply{}, err
	}
	defer session.Close()
	st, err := session.Open(req)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("reaching machine %s: %w", m.Name, err)
	}
	return st.Wait(ctx)
}

// WaitReady waits until init has reached its goal, the machine has ended, or
// ctx is over, and returns the machine as it is then.
func (m *Machine) WaitReady(ctx context.Context) (*Machine, error) {
	req := wire.Request{Op: "wait"}
	if end, ok := ctx.Deadline(); ok {
		req.MS = int(max(time.Until(end), time.Millisecond) / time.Millisecond)
	}
	if _, err := m.call(ctx, req); err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("waiting for the init of %s: %w", m.Name, context.Cause(ctx))
	}
	return load(m.dir)
}

// Ping tells whether the guest answers.
func (m *Machine) Ping(ctx context.Context) error {
	_, err := m.call(ctx, wire.Request{Op: "ping"})
	return err
}

// Down ends the machine and undoes everything that starting it changed. It
// returns when nothing of it is left; a machine that ended before is cleared
// away.
func (m *Machine) Down(ctx context.Context) error { return m.end(ctx, "") }

// Discard ends the machine at once, without its init: nobody wants what it
// wrote. Otherwise it is like Down.
func (m *Machine) Discard(ctx context.Context) error { return m.end(ctx, pullThePlug) }

// pullThePlug is the target of a request to end without an orderly shutdown.
const pullThePlug = "now"

func (m *Machine) end(ctx context.Context, how string) error {
	session, err := m.Connect(ctx)
	if err == nil {
		defer session.Close()
		if _, err := session.Open(wire.Request{Op: "down", Target: how}); err != nil {
			return fmt.Errorf("ending machine %s: %w", m.Name, err)
		}
	} else if !errors.Is(err, ErrNotRunning) && !m.startingUp() {
		return err
	}
	for {
		up, err := alive(m.dir)
		if err != nil {
			return fmt.Errorf("ending machine %s: %w", m.Name, err)
		}
		if !up {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ending machine %s: %w", m.Name, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return clear(ctx, m.dir)
}

// startingUp tells whether the supervisor lives although its socket is not
// there yet.
func (m *Machine) startingUp() bool {
	up, err := alive(m.dir)
	return err == nil && up
}

// DownAll ends all machines of a runtime folder, at the same time.
func DownAll(ctx context.Context, runtime string) error {
	list, err := List(runtime)
	if err != nil {
		return err
	}
	errs := make(chan error, len(list))
	for _, m := range list {
		go func() { errs <- m.Down(ctx) }()
	}
	for range list {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Restart ends the machine in order and starts it again, without its writes
// when reset is set: the state of the built tree, its volumes apart. It
// returns when the old run has ended; WaitReady waits for the new one.
func (m *Machine) Restart(ctx context.Context, reset bool) error {
	req := wire.Request{Op: "restart"}
	if reset {
		req.Target = "reset"
	}
	_, err := m.call(ctx, req)
	return err
}

// Usage is what a machine uses.
type Usage struct {
	Memory   int64         // bytes, all processes and their part of the page cache
	Disk     int64         // bytes written since it was built
	TreeSize int64         // bytes of the built tree
	Boot     time.Duration // from the start until init had reached its goal; 0: not yet
}

// Usage asks what the machine uses now.
func (m *Machine) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	r, err := m.call(ctx, wire.Request{Op: "usage"})
	if err == nil {
		err = json.Unmarshal(r.Data, &u)
	}
	return u, err
}

// ConsoleLog writes what the console has shown and, with follow, goes on until
// ctx ends or the machine does. It works for a machine that has ended too.
func (m *Machine) ConsoleLog(ctx context.Context, w io.Writer, follow bool) error {
	session, err := m.Connect(ctx)
	if errors.Is(err, ErrNotRunning) {
		return m.oldLog(w)
	}
	if err != nil {
		return err
	}
	defer session.Close()
	st, err := session.Open(wire.Request{Op: "log", Follow: follow})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, st.Reset)
	defer stop()
	if _, err := io.Copy(w, st.Reader(wire.Output)); err != nil && !errors.Is(err, wire.ErrClosed) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the console of %s: %w", m.Name, err)
	}
	return nil
}

func (m *Machine) oldLog(w io.Writer) error {
	for _, name := range []string{consoleFile + ".1", consoleFile} {
		data, err := os.ReadFile(filepath.Join(m.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the console of %s: %w", m.Name, err)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// ConsoleTail gives the last lines that the console has shown, as plain text;
// empty when they cannot be had.
func (m *Machine) ConsoleTail(ctx context.Context) string {
	var log bytes.Buffer
	if err := m.ConsoleLog(ctx, &log, false); err != nil {
		return ""
	}
	return lastLines(log.Bytes(), consoleLines)
}
