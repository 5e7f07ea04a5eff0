package fleet

import (
	"strings"
	"time"
)

// Answer says why a machine is not where it should be.
type Answer struct {
	Machine string    `json:"machine"`
	State   string    `json:"state"` // proven, waiting (on its way), stuck, never seen
	Reached string    `json:"reached,omitempty"`
	Missing string    `json:"missing,omitempty"` // the first step of which there is no evidence
	Since   time.Time `json:"since,omitzero"`    // the last sign of life
	Cause   string    `json:"cause,omitempty"`   // a name of the table of causes
	Text    string    `json:"text,omitempty"`    // the cause in one sentence
	Detail  string    `json:"detail,omitempty"`  // what was seen
	Cure    string    `json:"cure,omitempty"`    // what to do, one sentence
	Note    string    `json:"note,omitempty"`    // what should be known beside that
}

// States of an Answer.
const (
	StateProven  = "proven"
	StateWaiting = "waiting"
	StateStuck   = "stuck"
	StateNever   = "never seen"
)

// patience is how long the step after a stage may take before its absence is a
// fault.
var patience = map[string]time.Duration{
	"": 30 * time.Second, StageFirmware: 30 * time.Second, StageDHCP: 30 * time.Second, StageLoader: 30 * time.Second,
	StageScript: 30 * time.Second, StageKernel: 60 * time.Second, StageInitrd: 120 * time.Second, StageInit: 90 * time.Second,
	StageNetwork: 180 * time.Second, StageInstall: 10 * time.Minute, StageLogin: 180 * time.Second, StageService: 300 * time.Second,
}

// steps that not every boot has: a missing one is no fault where a later one
// was reached, and it is not what is waited for next.
var optional = map[string]bool{StageInstall: true, StageService: true}

// Why explains the last boot in these events, which are all of one machine.
func Why(machine string, events []Event, now time.Time) Answer {
	boots := Timeline(events)
	if len(boots) == 0 {
		c := causes["silent"]
		return Answer{Machine: machine, State: StateNever, Missing: StageFirmware, Cause: c.Name, Text: c.Text, Cure: strings.ReplaceAll(c.Cure, "NODE", machine)}
	}
	b := &boots[len(boots)-1]
	a := Answer{Machine: machine, Reached: b.Reached(), Missing: missing(b), Since: b.Last}
	if a.Since.IsZero() {
		a.Since = b.Start
	}
	if e := b.any(KindBack); e != nil {
		a.Note = "it was given " + e.Text
	}
	if a.Missing == "" {
		a.State = StateProven
		return a
	}
	c, detail := explain(b)
	silent := now.Sub(a.Since) > patience[a.Reached]
	if c == nil && !silent {
		a.State = StateWaiting
		return a
	}
	if c == nil {
		c, detail = quietCause(b)
	}
	a.State = StateStuck
	a.Cause, a.Text, a.Detail, a.Cure = c.Name, c.Text, detail, strings.ReplaceAll(c.Cure, "NODE", machine)
	return a
}

// missing is the first stage after the furthest that was reached: earlier ones
// may have gone unseen (a disk boot asks for no kernel).
func missing(b *Boot) string {
	if b.has(StageProven) {
		return ""
	}
	for _, stage := range Stages[Rank(b.Reached())+1:] {
		if !optional[stage] {
			return stage
		}
	}
	return ""
}

// judged are kinds that have lines of their own in the table: where those do
// not fit, such an event was no fault.
var judged = map[string]bool{KindRival: true, KindTFTPError: true, KindHTTPMissing: true, KindTFTPAbort: true, KindHTTPAbort: true,
	KindProbeOK: true, KindProbeFail: true, KindHTTPBusy: true}

// explain finds the cause that was seen: one that a reporter named, else the
// first of the table that fits.
func explain(b *Boot) (*Cause, string) {
	tail := b.since()
	if c, detail := named(b); c != nil {
		return c, detail
	}
	for i := range Causes {
		if c := &Causes[i]; c.seen != nil {
			if detail, ok := c.seen(b); ok {
				return c, detail
			}
		}
	}
	for i := len(tail) - 1; i >= 0; i-- {
		if e := tail[i]; e.Problem != "" && !judged[e.Kind] {
			return causes["problem"], e.Problem
		}
	}
	return nil, ""
}

// named finds the cause that a reporter named last. It is over where the boot
// came further since, or its work began again.
func named(b *Boot) (*Cause, string) {
	var reached time.Time
	if n := len(b.Steps); n > 0 {
		reached = b.Steps[n-1].Time
	}
	for i := len(b.Events) - 1; i >= 0 && !b.Events[i].Time.Before(reached); i-- {
		e := &b.Events[i]
		if e.Kind == KindInstallBegin || e.Kind == KindInstallDone || e.Kind == KindNodeProgress {
			break
		}
		if c := causes[e.Fields[FieldCause]]; c != nil && e.Problem != "" {
			return c, e.Problem
		}
	}
	return nil, ""
}

// quietCause is the cause of a machine that says nothing any more: it follows
// from how far it came.
func quietCause(b *Boot) (*Cause, string) {
	for i := range Causes {
		if c := &Causes[i]; c.quiet != nil {
			if detail, ok := c.quiet(b); ok {
				return c, detail
			}
		}
	}
	return nil, "" // the last line fits always
}
