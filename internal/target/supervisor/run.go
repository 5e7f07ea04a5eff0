package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"slipway/internal/guest"
	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// incarnation is one run of the machine, from clone to the end of its init.
type incarnation struct {
	cmd     *exec.Cmd
	cgroups *cgroups
	root    *rootMount
	session *wire.Session
	exited  chan struct{} // closed when init has ended
	events  chan wire.Event
	link    *attachment
	shown   chan struct{} // closed when the console has been read to its end
}

// startDeadline is how long the guest helper may take until it answers.
const startDeadline = 30 * time.Second

// start makes the machine's namespaces and brings its init to life.
func (s *supervisor) start() (_ *incarnation, err error) {
	r := &incarnation{exited: make(chan struct{}), events: make(chan wire.Event, 64)}
	defer func() {
		if err != nil {
			r.kill()
			err = errors.Join(err, r.close())
		}
	}()
	if r.root, err = s.mountRoot(); err != nil {
		return nil, err
	}
	if r.cgroups, err = makeCgroups(s.Spec.cgroup(), s.Caller, s.Spec.Definition.Container.Limits); err != nil {
		return nil, err
	}
	for _, note := range r.cgroups.notes {
		s.tell(Progress{Stage: "limits", OK: true, Text: note})
	}
	control, err := r.clone(s)
	if err != nil {
		return nil, err
	}
	if err := r.cgroups.enter(r.cmd.Process.Pid, int(s.IDs.UID)); err != nil {
		control.Close()
		return nil, err
	}
	s.tell(Progress{Stage: "container", OK: true})
	if r.link, err = s.net.attach(s, r.cmd.Process.Pid); err != nil {
		control.Close()
		return nil, err
	}
	if err := r.configure(s, control); err != nil {
		control.Close()
		return nil, err
	}
	return r, r.meet(s, control)
}

// clone starts the guest helper as the first process of its namespaces. It
// waits there for its configuration.
func (r *incarnation) clone(s *supervisor) (*os.File, error) {
	program, err := guest.Memfile()
	if err != nil {
		return nil, err
	}
	defer program.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the control stream: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	unix.SetNonblock(pair[0], true)
	ours := os.NewFile(uintptr(pair[0]), "control")
	r.cmd = &exec.Cmd{
		Path: "/proc/self/fd/4", Args: []string{"slipway-guest", "container"}, Env: []string{},
		Stderr: os.Stderr, ExtraFiles: []*os.File{theirs, program},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS |
				unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
			UidMappings:                s.idMappings(s.IDs.UID),
			GidMappings:                s.idMappings(s.IDs.GID),
			GidMappingsEnableSetgroups: true,
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
			Setsid:                     true,
		},
	}
	if err := r.cmd.Start(); err != nil {
		ours.Close()
		r.cmd = nil
		return nil, fmt.Errorf("making the machine's namespaces: %w", err)
	}
	go func() {
		r.cmd.Wait()
		close(r.exited)
	}()
	return ours, nil
}

// configure sends the helper everything that it needs to become the machine.
func (r *incarnation) configure(s *supervisor, control *os.File) error {
	cfg := wire.Config{
		Version: wire.Version, Root: r.root.path, Hostname: s.Spec.hostname(), Init: s.Spec.initCommand(),
		Env: s.Spec.Env, UUID: s.uuid(), CgroupMount: true,
		Mounts: r.root.mounts, Files: s.runtimeFiles(r.link), Mint: s.Spec.Mint,
		Deadline: int(s.Spec.Stop / time.Second),
	}
	var err error
	if cfg.Devices, err = expandDevices(s.Spec.Definition.Container.Devices); err != nil {
		return err
	}
	payload, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encoding the guest's configuration: %w", err)
	}
	if err := wire.WriteFrame(control, wire.Frame{Kind: wire.KindConfig, Payload: payload}); err != nil {
		return fmt.Errorf("sending the guest's configuration: %w", err)
	}
	return nil
}

// meet waits for the agent and connects the console.
func (r *incarnation) meet(s *supervisor, control *os.File) error {
	r.session = wire.Client(control, func(e wire.Event) {
		select {
		case r.events <- e:
		default: // a chatty init: status lines are not worth waiting for
		}
	})
	timeout := time.After(startDeadline)
	for {
		select {
		case e := <-r.events:
			switch e.Kind {
			case "error":
				return errors.New(e.Text)
			case "agent":
				if r.shown != nil {
					return errors.New("the guest helper introduced itself twice")
				}
				r.shown = make(chan struct{})
				go func() {
					s.console.follow(r.session)
					close(r.shown)
				}()
			case "init":
				s.setAgent(r, e.Text)
				return nil
			default:
				s.note(e)
			}
		case <-r.exited:
			<-r.session.Done() // what it said before its end is in r.events now
			for len(r.events) > 0 {
				if e := <-r.events; e.Kind == "error" {
					return errors.New(e.Text)
				}
			}
			return errors.New("the machine ended before its agent answered: " + describeExit(r.cmd.ProcessState))
		case <-s.stop:
			return errors.New("it was stopped while it started")
		case <-timeout:
			return fmt.Errorf("the guest helper did not answer within %s", startDeadline)
		}
	}
}

// wait follows the machine until its init has ended.
func (r *incarnation) wait(s *supervisor) ending {
	stop := s.stop
	for {
		select {
		case e := <-r.events:
			s.note(e)
		case <-stop:
			stop = nil
			go r.shutdown(s)
		case <-r.exited:
			return s.judge(r.cmd.ProcessState)
		}
	}
}

// shutdown asks init to end, and insists after the deadline.
func (r *incarnation) shutdown(s *supervisor) {
	deadline := time.After(s.Spec.Stop)
	r.outliveScripts(s)
	for tries := range 3 { // an init that has just begun may not listen yet
		if err := r.power("poweroff"); err != nil {
			r.cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-r.exited:
			return
		case <-time.After(time.Duration(tries+1) * time.Second):
		case <-deadline:
			r.kill()
			return
		}
	}
	select {
	case <-r.exited:
	case <-deadline:
		r.kill()
	}
}

// outliveScripts keeps Debian's shutdown scripts from waiting ten seconds for
// the agent, which is the parent of the shell here, to end (sendsigs of the
// package initscripts, /run/sendsigs.omit.d). Where there are none nothing
// happens.
func (r *incarnation) outliveScripts(s *supervisor) {
	s.mu.Lock()
	style := s.rec.Style
	s.mu.Unlock()
	if style != "sysv" && style != "openrc" {
		return
	}
	const script = `[ -e /etc/init.d/sendsigs ] && mkdir -p /run/sendsigs.omit.d && echo $PPID >/run/sendsigs.omit.d/slipway`
	st, err := r.session.Open(wire.Request{Op: "exec", Args: []string{"/bin/sh", "-c", script}, MS: 1000})
	if err != nil {
		return
	}
	select {
	case <-st.Over():
	case <-time.After(2 * time.Second):
		st.Reset()
	}
}

// power asks the agent; when there is none any more, systemd is asked directly.
func (r *incarnation) power(how string) error {
	answered := make(chan error, 1)
	go func() { // an agent that reads nothing any more would hold even the question
		st, err := r.session.Open(wire.Request{Op: "power", Target: how})
		if err == nil {
			<-st.Over()
		}
		answered <- err
	}()
	var err error
	select {
	case err = <-answered:
		if err == nil {
			return nil
		}
	case <-time.After(2 * time.Second):
		err = errors.New("the agent does not answer")
	}
	const rtMin = 34
	return errors.Join(err, r.cmd.Process.Signal(syscall.Signal(rtMin+4)))
}

func (r *incarnation) kill() {
	if r.cmd != nil && r.cmd.Process != nil {
		r.cmd.Process.Kill()
		<-r.exited
	}
}

// close removes what the run needed; its init has ended.
func (r *incarnation) close() error {
	var errs []error
	if r.session != nil {
		select {
		case <-r.shown:
		case <-time.After(500 * time.Millisecond):
		}
		r.session.Close()
	}
	if r.link != nil {
		errs = append(errs, r.link.close())
	}
	if r.cgroups != nil {
		errs = append(errs, r.cgroups.remove())
	}
	if r.root != nil {
		errs = append(errs, r.root.close())
	}
	return errors.Join(errs...)
}

// judge turns the end of init into words. A pid namespace's init dies by
// SIGHUP after a request to reboot and by SIGINT after one to power off or
// halt (reboot(2)).
func (s *supervisor) judge(p *os.ProcessState) ending {
	s.mu.Lock()
	again := s.again
	s.again = ""
	s.mu.Unlock()
	ws, _ := p.Sys().(syscall.WaitStatus)
	e := ending{state: Failed, reason: "its init ended: " + describeExit(p)}
	switch {
	case ws.Signaled() && ws.Signal() == syscall.SIGHUP:
		e = ending{state: Stopped, reboot: true}
	case ws.Signaled() && ws.Signal() == syscall.SIGINT, ws.Exited() && ws.ExitStatus() == 0:
		e = ending{state: Stopped, reason: "it powered itself off"}
	}
	if s.stopping() {
		e.state, e.reason = Stopped, ""
	}
	e.asked = again != ""
	if again == "reset" {
		if err := s.resetStorage(); err != nil {
			return ending{state: Failed, reason: err.Error()}
		}
	}
	return e
}

func describeExit(p *os.ProcessState) string {
	if p == nil {
		return "unknown"
	}
	return strings.TrimPrefix(p.String(), "signal: ")
}

// note takes in what init says about itself.
func (s *supervisor) note(e wire.Event) {
	switch {
	case e.Kind == "notify" && e.Text == "READY=1":
		s.setState(Running, "")
	case e.Kind == "notify" && strings.HasPrefix(e.Text, "STATUS="):
		s.mu.Lock()
		if s.rec.State == Starting {
			s.rec.Reason = statusText(strings.TrimPrefix(e.Text, "STATUS="))
		}
		s.mu.Unlock()
	}
}

// statusText is what a machine says of itself, fit for a record and a terminal.
func statusText(s string) string {
	const most = 200
	runes := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
	return string(runes[:min(len(runes), most)])
}

// setAgent records that the machine can be reached. Only systemd tells when it
// is ready; any other init counts as up from here.
func (s *supervisor) setAgent(r *incarnation, style string) {
	s.setRun(r, r.session)
	s.mu.Lock()
	s.rec.Style = style
	s.rec.PID = r.cmd.Process.Pid
	s.rec.Cgroups = r.cgroups.dirs
	if r.link != nil {
		s.rec.Addresses = r.link.addresses()
	}
	early := s.rec.State == Running
	s.mu.Unlock()
	if style == "systemd" && !early {
		s.setState(Starting, "")
		return
	}
	s.setState(Running, "")
}

// idMappings maps the machine's ids into the private range. Host file systems
// cannot be shown to a user's machine under other owners, so with binds the
// caller is in it too, as an id above all of the machine's own: its root can
// then use what the caller was willing to show.
func (s *supervisor) idMappings(start int64) []syscall.SysProcIDMap {
	list := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(start), Size: int(s.IDs.Count)}}
	if s.User && len(s.Spec.Definition.Container.Binds) > 0 {
		list = append(list, syscall.SysProcIDMap{ContainerID: s.Caller, HostID: s.Caller, Size: 1})
	}
	return list
}
