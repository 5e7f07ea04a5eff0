package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// silent shows nothing.
type silent struct{}

func (silent) begin(*Step)         {}
func (silent) end(*Step)           {}
func (silent) note(string, string) {}
func (silent) log(string)          {}
func (silent) tick([]*Step)        {}
func (silent) close([]*Step)       {}

// pace is how often a plain view tells of a step that takes long.
const pace = 5 * time.Second

// lines writes one plain line per step, and a few for long ones.
type lines struct {
	w       io.Writer
	verbose bool
	now     func() time.Time
}

func (l *lines) begin(s *Step) {
	s.shown = l.now()
	if l.verbose {
		fmt.Fprintf(l.w, "%s ...\n", s.Name)
	}
}

func (l *lines) end(s *Step) { fmt.Fprintln(l.w, finished(s)) }

func (l *lines) note(step, text string) {
	switch {
	case step == "":
		fmt.Fprintln(l.w, text)
	case l.verbose:
		fmt.Fprintf(l.w, "%s: %s\n", step, text)
	}
}

func (l *lines) log(text string) {
	if l.verbose {
		fmt.Fprintln(l.w, text)
	}
}

func (l *lines) tick(steps []*Step) {
	now := l.now()
	for _, s := range steps {
		if now.Sub(s.shown) < pace {
			continue
		}
		s.shown = now
		text := fmt.Sprintf("%s: still running after %s", s.Name, span(now.Sub(s.began)))
		if more := amounts(s); more != "" {
			text += ", " + more
		}
		if s.text != "" {
			text += ", " + s.text
		}
		fmt.Fprintln(l.w, text)
	}
}

func (l *lines) close([]*Step) {}

// events writes one JSON document per line.
type events struct {
	w   io.Writer
	now func() time.Time
}

// Event is one line of the JSON form. Event is one of start, progress, done,
// failed, note and log.
type Event struct {
	Time    string  `json:"time"` // RFC 3339, UTC
	Event   string  `json:"event"`
	Step    string  `json:"step,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Total   int64   `json:"total,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Text    string  `json:"text,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (v *events) write(e Event) {
	e.Time = v.now().UTC().Format(time.RFC3339Nano)
	if data, err := json.Marshal(e); err == nil {
		_, _ = v.w.Write(append(data, '\n')) // who listens may have gone; the work goes on
	}
}

func (v *events) begin(s *Step) {
	s.shown = v.now()
	v.write(Event{Event: "start", Step: s.Name})
}

func (v *events) end(s *Step) {
	e := Event{Event: "done", Step: s.Name, Bytes: s.done, Total: s.total, Seconds: s.took.Seconds()}
	if s.err != nil {
		e.Event, e.Error = "failed", s.err.Error()
	}
	v.write(e)
}

func (v *events) note(step, text string) { v.write(Event{Event: "note", Step: step, Text: text}) }
func (v *events) log(text string)        { v.write(Event{Event: "log", Text: text}) }

func (v *events) tick(steps []*Step) {
	now := v.now()
	for _, s := range steps {
		if s.done > 0 && now.Sub(s.shown) >= time.Second {
			s.shown = now
			v.write(Event{Event: "progress", Step: s.Name, Bytes: s.done, Total: s.total, Seconds: now.Sub(s.began).Seconds()})
		}
	}
}

func (v *events) close([]*Step) {}
