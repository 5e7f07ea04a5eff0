package supervisor

import (
	"errors"
	"fmt"
	"time"
)

// Mark is the end of a stage as a record keeps it.
type Mark struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // since the start of the run
}

// reached records the end of a stage and tells the caller of Up about it. The
// error is that of a stage that failed.
func (s *supervisor) reached(stage Stage) error {
	if stage.Err != nil {
		return &StageError{stage.Name, stage.Err}
	}
	s.mu.Lock()
	at := stage.At.Sub(s.rec.Started).Seconds()
	s.rec.Stages = append(s.rec.Stages, Mark{stage.Name, at})
	up := s.wasUp
	s.mu.Unlock()
	if !up {
		s.tell(Progress{Stage: stage.Name, OK: true, Seconds: at})
	} else if err := s.save(); err != nil {
		s.complain(err)
	}
	return nil
}

// warn passes on what did not keep the machine from starting.
func (s *supervisor) warn(text string) {
	text = statusText(text)
	s.complain(errors.New(text))
	if !s.wasUp {
		s.tell(Progress{OK: true, Text: text})
	}
}

// forgetStages begins a new run.
func (s *supervisor) forgetStages() {
	s.mu.Lock()
	s.rec.Stages = nil
	s.mu.Unlock()
}

// fail tells the caller of Up why there is no machine.
func (s *supervisor) fail(err error) {
	stage := s.Spec.Target
	var at *StageError
	if errors.As(err, &at) {
		stage = at.Stage
	}
	s.tell(Progress{Stage: stage, Text: err.Error()})
	s.setState(Failed, err.Error())
}

// consoleLines is how much of a console an error shows.
const consoleLines = 12

// withConsole adds the last lines of the console of a machine that has one
// from its first moment: what happened stands there.
func (s *supervisor) withConsole(r *incarnation, err error) error {
	if r.Console() == nil || s.stopping() {
		return err
	}
	select {
	case <-r.shown:
	case <-time.After(500 * time.Millisecond):
	}
	lines := s.console.tail(consoleLines)
	if lines == "" {
		return fmt.Errorf("%w; the console showed nothing", err)
	}
	return fmt.Errorf("%w; the console's last lines:\n%s", err, lines)
}
