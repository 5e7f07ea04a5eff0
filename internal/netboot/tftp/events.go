package tftp

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"slipway/internal/fleet"
)

// Kinds of events beside those of package fleet. Of all, fleet.KindTFTPDone
// alone carries the stage: the whole file was acknowledged.
const (
	KindProgress = "tftp.progress" // Bytes of Total so far; at most one a second
	KindBusy     = "tftp.busy"     // not answered: too much at once
)

func (e *engine) record(q Request, a Answer, kind, text, problem string) {
	e.Sink.Record(e.event(q, a, kind, text, problem))
}

func (e *engine) event(q Request, a Answer, kind, text, problem string) fleet.Event {
	v := a.About
	v.Kind, v.Stage, v.Problem, v.Text = kind, "", problem, text
	v.Time = time.Now()
	v.Address = q.Client.Addr().String()
	v.Fields = maps.Clone(v.Fields)
	if v.Fields == nil {
		v.Fields = map[string]string{}
	}
	name := q.Name
	if name == "" {
		name = q.Raw
	}
	if len(name) > 256 {
		name = name[:256]
	}
	v.Fields[fleet.FieldFile] = printable(name)
	return v
}

func (e *engine) began(t *transfer, problem string) {
	v := e.event(t.request, t.answer, fleet.KindTFTPStart, fmt.Sprintf("reads %s by TFTP", printable(t.request.Name)), problem)
	v.Total = t.size
	v.Fields["blksize"], v.Fields["windowsize"] = strconv.Itoa(t.terms.block), strconv.Itoa(t.terms.window)
	e.Sink.Record(v)
}

func (e *engine) progress(t *transfer) {
	v := e.event(t.request, t.answer, KindProgress, "", "")
	v.Bytes, v.Total = t.received(), t.size
	e.Sink.Record(v)
}

func (e *engine) ended(t *transfer, s state) {
	name := printable(t.request.Name)
	took := time.Since(t.began).Round(time.Millisecond)
	v := e.event(t.request, t.answer, "", "", "")
	v.Bytes, v.Total = t.received(), t.size
	v.Fields["took"] = took.String()
	if t.repeated > 0 {
		v.Fields["repeated"] = strconv.FormatInt(t.repeated, 10)
	}
	switch s {
	case complete:
		v.Kind, v.Stage, v.Text = fleet.KindTFTPDone, t.answer.About.Stage, fmt.Sprintf("has all of %s, %d bytes in %s", name, t.size, took)
	case probed:
		v.Kind, v.Text = fleet.KindTFTPProbe, fmt.Sprintf("asked how long %s is", name)
	case aborted:
		v.Kind, v.Problem = fleet.KindTFTPAbort, fmt.Sprintf("%s: %s after %d of %d bytes", name, t.why, v.Bytes, t.size)
	case failed:
		v.Kind, v.Problem = fleet.KindTFTPError, t.why
	case silent:
		v.Kind, v.Problem = fleet.KindTFTPAbort, fmt.Sprintf("%s: %s, at %d of %d bytes", name, t.why, v.Bytes, t.size)
	}
	e.Sink.Record(v)
}
