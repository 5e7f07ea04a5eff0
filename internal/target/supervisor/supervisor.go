package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// supervisor owns one machine. All fields below mu are guarded by it.
type supervisor struct {
	orders
	dir      string
	status   *os.File
	console  *consoleLog
	net      *network
	body     Body
	files    []*os.File // inherited listeners
	stop     chan struct{}
	stopOnce sync.Once
	plug     atomic.Bool // the machine ends like one whose plug is pulled
	wasUp    bool        // the caller of Up was told that it is up
	gate     gate

	mu      sync.Mutex
	rec     full
	changed chan struct{} // closed and replaced at every change of the state
	agent   *wire.Session
	run     *incarnation
	again   string // why the next end is a new start: "restart" or "reset"
}

// The descriptors that the supervisor inherits.
const (
	statusFD   = 3
	lockFD     = 4
	listenerFD = 5
)

func supervisorMain() int {
	s, err := newSupervisor()
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	if err := s.live(); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	return 0
}

func newSupervisor() (*supervisor, error) {
	s := &supervisor{stop: make(chan struct{}), changed: make(chan struct{})}
	if err := json.NewDecoder(os.Stdin).Decode(&s.orders); err != nil {
		return nil, fmt.Errorf("reading the orders: %w", err)
	}
	unix.Umask(0o022)
	if err := privateMounts(); err != nil {
		return nil, err
	}
	unix.CloseOnExec(lockFD) // the lock lives exactly as long as this process
	unix.CloseOnExec(statusFD)
	s.status = os.NewFile(statusFD, "status")
	for i := range s.Listeners {
		unix.CloseOnExec(listenerFD + i)
		s.files = append(s.files, os.NewFile(uintptr(listenerFD+i), s.Listeners[i].Address))
	}
	s.dir = s.Spec.dir()
	s.rec = full{
		Record:     Record{Name: s.Spec.Name, Target: s.Spec.Target, State: Starting, Since: s.Started, Addresses: []string{}, Ports: []string{}},
		Started:    s.Started,
		Definition: s.Spec.Definition.File,
		Key:        s.Spec.Key,
		Supervisor: os.Getpid(),
		IDs:        s.HostIDs,
		User:       s.User,
		Spec:       s.Spec,
	}
	for _, l := range s.Listeners {
		s.rec.Ports = append(s.rec.Ports, l.String())
	}
	return s, s.save()
}

// live runs the machine until it is over for good.
func (s *supervisor) live() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	go func() {
		<-signals
		s.requestStop()
	}()
	err := s.prepare()
	if err == nil {
		err = s.cycle()
	}
	if err != nil {
		s.fail(err)
	}
	return s.finish()
}

// prepare sets up what lasts over restarts of the machine.
func (s *supervisor) prepare() error {
	var err error
	if s.console, err = openConsoleLog(s.dir, s.Spec.LogSize, s.own); err != nil {
		return err
	}
	if err := s.enterFolder(); err != nil {
		return err
	}
	driver, err := DriverOf(s.Spec.Target)
	if err != nil {
		return err
	}
	if s.body, err = driver.Open(&Host{Spec: s.Spec, IDs: s.IDs, User: s.User, Caller: s.Caller, s: s}); err != nil {
		return err
	}
	if s.net, err = joinNetwork(s); err != nil {
		return err
	}
	return s.serve()
}

// cycle starts the machine, again and again as its policy says.
func (s *supervisor) cycle() error {
	pause := newBackOff()
	for {
		run, err := s.start()
		if err != nil {
			return err
		}
		s.announce()
		end := run.wait(s)
		if err := run.close(); err != nil {
			s.complain(err)
		}
		s.setRun(nil, nil)
		if !s.restarts(end) {
			s.setState(end.State, end.Reason)
			return nil
		}
		if !end.asked && !pause.sleep(s.stop) {
			s.setState(Stopped, "")
			return nil
		}
		s.restarting()
	}
}

// announce tells the caller of Up that the machine can be reached, and lets go
// of it.
func (s *supervisor) announce() {
	s.wasUp = true
	stage := ""
	if s.hasAgent() {
		stage = "agent"
	}
	s.tell(Progress{Stage: stage, OK: true, Up: true})
	s.status.Close()
}

func (s *supervisor) tell(p Progress) {
	if p.Seconds == 0 {
		p.Seconds = time.Since(s.Started).Seconds()
	}
	data, err := json.Marshal(p)
	if err == nil {
		s.status.Write(append(data, '\n')) // nobody may be listening any more
	}
}

func (s *supervisor) requestStop() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *supervisor) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// restarting counts a new start and shows it.
func (s *supervisor) restarting() {
	s.mu.Lock()
	s.rec.Restarts++
	s.rec.Started = time.Now()
	s.rec.Ready = time.Time{}
	s.mu.Unlock()
	s.setState(Starting, "")
}

func (s *supervisor) setState(state State, reason string) {
	s.mu.Lock()
	s.rec.State, s.rec.Reason, s.rec.Since = state, reason, time.Now()
	if state == Failed || state == Stopped {
		s.rec.PID = 0
	}
	if state == Running {
		s.rec.Ready = s.rec.Since
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if err := s.save(); err != nil {
		s.complain(err)
	}
}

// complain writes to the supervisor's own log.
func (s *supervisor) complain(err error) { fmt.Fprintln(os.Stderr, "supervisor:", err) }

func (s *supervisor) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec.write(s.dir, s.own)
}

func (s *supervisor) setRun(run *incarnation, agent *wire.Session) {
	s.mu.Lock()
	s.run, s.agent = run, agent
	s.mu.Unlock()
}

func (s *supervisor) hasAgent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent != nil
}

// own gives a file to the caller of slipway.
func (s *supervisor) own(path string) error {
	if !s.User {
		return nil
	}
	return os.Lchown(path, s.Caller, s.Caller)
}

// finish removes everything but, when the machine ended by itself, its record.
func (s *supervisor) finish() error {
	if s.console != nil {
		s.console.close()
	}
	err := joinErrors(s.closeNetwork(), s.leaveFolder())
	if s.stopping() || !s.wasUp {
		return joinErrors(err, os.RemoveAll(s.dir))
	}
	return joinErrors(err, os.Remove(s.dir+"/"+socketFile))
}
