package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"slipway/internal/guest/wire"
)

// incarnation is one run of the machine with the connection to its agent.
type incarnation struct {
	Run
	session *wire.Session
	events  chan wire.Event
	stages  <-chan Stage  // nil: the run has none of its own
	shown   chan struct{} // closed when the console has been read to its end
}

// startDeadline is how long the guest helper may take until it answers, where
// no stages tell what to expect.
const startDeadline = 30 * time.Second

// start brings the machine's init to life.
func (s *supervisor) start() (_ *incarnation, err error) {
	s.forgetStages()
	run, err := s.body.Start()
	if err != nil {
		return nil, err
	}
	r := &incarnation{Run: run, events: make(chan wire.Event, 64)}
	if staged, ok := run.(Staged); ok {
		r.stages = staged.Stages()
	}
	defer func() {
		if err != nil {
			r.Kill()
			_ = r.drainStages(s) // err came first
			err = errors.Join(s.withConsole(r, err), r.close())
		}
	}()
	return r, r.meet(s)
}

// meet waits for the agent and connects the console.
func (r *incarnation) meet(s *supervisor) error {
	if c := r.Console(); c != nil {
		r.show(func() { s.console.follow(c, c) })
	}
	if control := r.Agent(); control != nil {
		r.session = wire.Client(control, r.take)
	}
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	begin := time.Now()
	for {
		select {
		case e := <-r.events:
			if done, err := r.greeted(s, e); done || err != nil {
				return err
			}
		case stage := <-r.stages:
			if err := s.reached(stage); err != nil {
				return err
			}
			if r.session == nil && (stage.Name == "network" || stage.Name == "login") {
				s.setAgent(r, "other") // all that can be known of it
				return nil
			}
		case <-r.Exited():
			return r.endedEarly(s)
		case <-s.stop:
			return errors.New("it was stopped while it started")
		case <-look.C:
			if err := r.overdue(begin); err != nil {
				return err
			}
		}
	}
}

// take keeps what the guest says until somebody has time for it.
func (r *incarnation) take(e wire.Event) {
	select {
	case r.events <- e:
	default: // a chatty init: status lines are not worth waiting for
	}
}

// show reads the console in the background.
func (r *incarnation) show(read func()) {
	r.shown = make(chan struct{})
	go func() {
		read()
		close(r.shown)
	}()
}

// greeted takes in one event before the machine can be reached, and tells
// whether it is that now.
func (r *incarnation) greeted(s *supervisor, e wire.Event) (done bool, err error) {
	switch e.Kind {
	case "error":
		return false, r.staged(errors.New(e.Text))
	case "agent":
		if r.Console() != nil {
			break
		}
		if r.shown != nil {
			return false, errors.New("the guest helper introduced itself twice")
		}
		r.show(func() { s.console.followAgent(r.session) })
	case "init":
		s.setAgent(r, e.Text)
		return true, nil
	default:
		s.note(r, e)
	}
	return false, nil
}

// endedEarly says why a machine ended before it could be reached.
func (r *incarnation) endedEarly(s *supervisor) error {
	if r.session != nil {
		<-r.session.Done() // what it said before its end is in r.events now
	}
	for len(r.events) > 0 {
		if _, err := r.greeted(s, <-r.events); err != nil {
			return err
		}
	}
	if err := r.drainStages(s); err != nil {
		return err
	}
	return r.staged(errors.New("the machine ended before its agent answered: " + r.End().Reason))
}

// drainStages takes in the stages that have ended, as well as they are known.
func (r *incarnation) drainStages(s *supervisor) error {
	if staged, ok := r.Run.(Staged); ok {
		staged.Settle()
	}
	for len(r.stages) > 0 {
		if err := s.reached(<-r.stages); err != nil {
			return err
		}
	}
	return nil
}

// staged gives an error to the stage in which the machine is.
func (r *incarnation) staged(err error) error {
	if staged, ok := r.Run.(Staged); ok {
		stage, _ := staged.Waiting()
		return &StageError{stage, err}
	}
	return err
}

// overdue complains when a machine has taken too long.
func (r *incarnation) overdue(begin time.Time) error {
	staged, ok := r.Run.(Staged)
	if !ok {
		if time.Since(begin) > startDeadline {
			return fmt.Errorf("the guest helper did not answer within %s", startDeadline)
		}
		return nil
	}
	if stage, left := staged.Waiting(); left <= 0 {
		err := fmt.Errorf("stage %s did not end in %s", stage, time.Since(begin).Round(100*time.Millisecond))
		if x, ok := r.Run.(Explained); ok {
			if why := x.Explain(); why != "" {
				err = fmt.Errorf("%w: %s", err, why)
			}
		}
		return &StageError{stage, err}
	}
	return nil
}

// wait follows the machine until its init has ended.
func (r *incarnation) wait(s *supervisor) Ending {
	stop := s.stop
	for {
		select {
		case e := <-r.events:
			s.note(r, e)
		case stage := <-r.stages:
			if err := s.reached(stage); err != nil {
				r.Kill()
				return s.judge(Ending{State: Failed, Reason: err.Error()})
			}
		case <-stop:
			stop = nil
			go r.shutdown(s)
		case <-r.Exited():
			return s.judge(r.End())
		}
	}
}

// shutdown asks init to end, and insists after the deadline.
func (r *incarnation) shutdown(s *supervisor) {
	if s.plug.Load() {
		r.Kill()
		return
	}
	deadline := time.After(s.Spec.Stop)
	r.outliveScripts(s)
	for tries := range 3 { // an init that has just begun may not listen yet
		_ = r.power("poweroff")
		select {
		case <-r.Exited():
			return
		case <-time.After(time.Duration(tries+1) * time.Second):
		case <-deadline:
			r.Kill()
			return
		}
	}
	select {
	case <-r.Exited():
	case <-deadline:
		r.Kill()
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
	if style != "sysv" && style != "openrc" || r.session == nil {
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

// power asks the agent; when there is none any more, the driver finds another way.
func (r *incarnation) power(how string) error {
	if r.session == nil {
		return r.PowerOff()
	}
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
	return errors.Join(err, r.PowerOff())
}

// close removes what the run needed; its init has ended.
func (r *incarnation) close() error {
	if r.shown != nil {
		select {
		case <-r.shown:
		case <-time.After(500 * time.Millisecond):
		}
	}
	if r.session != nil {
		r.session.Close()
	}
	return r.Run.Close()
}

// judge adds to how a run ended what was asked for from outside.
func (s *supervisor) judge(e Ending) Ending {
	s.mu.Lock()
	again := s.again
	s.again = ""
	s.mu.Unlock()
	if s.stopping() {
		e.State, e.Reason = Stopped, ""
	}
	e.asked = again != ""
	if again == "reset" {
		if err := s.reset(); err != nil {
			return Ending{State: Failed, Reason: err.Error()}
		}
	}
	return e
}

// note takes in what init says about itself.
func (s *supervisor) note(r *incarnation, e wire.Event) {
	switch {
	case e.Kind == "stage":
		if staged, ok := r.Run.(Staged); ok {
			staged.Event(e.Text)
		}
	case e.Kind == "warning":
		s.warn(e.Text)
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
	s.rec.PID = r.PID()
	s.rec.Traces = r.Traces()
	if r.session != nil {
		s.rec.Stages = append(s.rec.Stages, Mark{"agent", time.Since(s.rec.Started).Seconds()})
	}
	if link := r.Link(); link != nil {
		s.rec.Addresses = link.addresses()
	}
	early := s.rec.State == Running
	s.mu.Unlock()
	if style == "systemd" && !early {
		s.setState(Starting, "")
		return
	}
	s.setState(Running, "")
}
