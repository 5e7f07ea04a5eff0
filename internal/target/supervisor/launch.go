package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slipway/internal/sandbox"
)

// Progress is one step on the way up, told by the supervisor.
type Progress struct {
	Stage   string  `json:"stage"` // container, kernel, agent, ...
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"` // since the start
	Text    string  `json:"text"`    // a reason, a remark
	Up      bool    `json:"up"`      // the last message: the machine can be reached
}

// orders is what the supervisor is started with, on its standard input.
type orders struct {
	Spec      Spec
	IDs       IDMap // as the supervisor sees them
	HostIDs   IDMap // as the host sees them
	User      bool
	Caller    int // id that stands for the caller in the supervisor
	Listeners []listenerInfo
	Started   time.Time
}

const supervisorEntry = "slipway:supervisor"

func init() { sandbox.RegisterEntry(supervisorEntry, supervisorMain) }

// ErrRunning means that a machine of this name runs already.
var ErrRunning = errors.New("it is running already")

// Up starts a machine and returns when it can be reached: its init runs and
// the guest helper answers. What init then starts is awaited with
// Machine.WaitReady. Progress is told to report, which may be nil. When ctx
// ends first, the machine is taken down again.
func Up(ctx context.Context, spec Spec, report func(Progress)) (*Machine, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	host, err := sandbox.Detect()
	if err != nil {
		return nil, fmt.Errorf("starting machine %s: %w", spec.Name, err)
	}
	if err := makeRuntime(spec.Runtime); err != nil {
		return nil, err
	}
	if _, err := Repair(ctx, spec.Runtime); err != nil {
		return nil, err
	}
	dir := spec.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the machine's folder: %w", err)
	}
	lock, err := tryLock(dir)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, fmt.Errorf("starting machine %s: %w", spec.Name, ErrRunning)
	}
	defer lock.Close() // the supervisor has its own descriptor of the same lock
	if err := CheckKept(&spec); err != nil {
		return nil, err
	}
	driver, err := DriverOf(spec.Target)
	if err == nil {
		err = driver.Ready(ctx, spec.Name)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return launch(ctx, host, spec, lock, report)
}

func launch(ctx context.Context, host *sandbox.Host, spec Spec, lock *os.File, report func(Progress)) (*Machine, error) {
	listeners, infos, err := openPorts(&spec)
	if err != nil {
		return nil, err
	}
	defer closeAll(listeners)
	o := orders{Spec: spec, User: !host.Root, Listeners: infos, Started: time.Now()}
	o.HostIDs = IDMap{UID: host.UIDs.Start, GID: host.GIDs.Start, Count: 65536}
	o.IDs = o.HostIDs
	if o.User {
		o.IDs, o.Caller = IDMap{Count: 65536}, sandbox.SelfID
	}
	status, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer status.Close()
	files := append([]*os.File{pipe, lock}, listeners...)
	p, leave, err := startSupervisor(ctx, host, o, files)
	pipe.Close()
	if err != nil {
		return nil, fmt.Errorf("starting the supervisor of %s: %w", spec.Name, err)
	}
	defer leave()
	go p.Wait() // leaves no zombie in a long-lived caller
	if err := follow(ctx, status, p, report); err != nil {
		return nil, fmt.Errorf("starting machine %s: %w", spec.Name, err)
	}
	return Find(spec.Runtime, spec.Name)
}

// follow passes on the supervisor's messages until the machine is up.
func follow(ctx context.Context, status *os.File, p *os.Process, report func(Progress)) error {
	stop := context.AfterFunc(ctx, func() { p.Signal(syscall.SIGTERM) })
	defer stop()
	lines := bufio.NewScanner(status)
	lines.Buffer(nil, 1<<20)
	last := "the supervisor ended without a word"
	for lines.Scan() {
		var m Progress
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("decoding the supervisor's message: %w", err)
		}
		if report != nil {
			report(m)
		}
		if m.Up {
			return nil
		}
		if !m.OK {
			last = m.Text
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.New(last)
}

// startSupervisor starts slipway again, in a session of its own and inside the
// lab, with nothing of the caller's but files: they become descriptors 3 and up.
func startSupervisor(ctx context.Context, host *sandbox.Host, o orders, files []*os.File) (*os.Process, func() error, error) {
	log, err := os.OpenFile(filepath.Join(o.Spec.dir(), superFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	data, err := json.Marshal(o)
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	p, leave, err := enterLab(ctx, host, o, append([]*os.File{r, log, log}, files...))
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	go func() {
		w.Write(data) // a supervisor that ended is noticed by its silence
		w.Close()
	}()
	return p, leave, nil
}

// supervisorEnv keeps what the supervisor's own work depends on.
func supervisorEnv() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, kv := range os.Environ() {
		for _, name := range []string{"HOME=", "XDG_RUNTIME_DIR=", "SLIPWAY_", "DBUS_SESSION_BUS_ADDRESS=", "TMPDIR="} {
			if strings.HasPrefix(kv, name) {
				env = append(env, kv)
			}
		}
	}
	return env
}
