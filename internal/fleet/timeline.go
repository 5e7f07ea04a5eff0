package fleet

import (
	"sort"
	"time"
)

// Boot is one power-on of a machine, as it was seen.
type Boot struct {
	Start  time.Time `json:"start"` // the first event
	Last   time.Time `json:"last"`  // the last sign of life
	Steps  []Step    `json:"steps"` // stages that were reached, in the order of Stages
	Events []Event   `json:"events,omitempty"`
}

// Step is a stage that was reached.
type Step struct {
	Stage string        `json:"stage"`
	Time  time.Time     `json:"time"`
	After time.Duration `json:"after"` // since power-on
	Took  time.Duration `json:"took"`  // since the step before
	What  string        `json:"what,omitempty"`
	Bytes int64         `json:"bytes,omitempty"`
	Rate  float64       `json:"rate,omitempty"` // bytes per second, where both ends were seen
}

// Reached is the furthest stage, or "".
func (b *Boot) Reached() string {
	if len(b.Steps) == 0 {
		return ""
	}
	return b.Steps[len(b.Steps)-1].Stage
}

// Timeline tells power-ons apart in the events of one machine, the oldest
// first. Events before the first power-on that was seen make a Boot without
// steps, if they tell of a problem.
func Timeline(events []Event) []Boot {
	events = append([]Event(nil), events...)
	setBack(events)
	sort.SliceStable(events, func(i, j int) bool { return events[i].Time.Before(events[j].Time) })
	var boots []Boot
	rank, last := -1, time.Time{}
	for _, e := range events {
		stage := stageOf(e, rank)
		if beginsBoot(e, stage, rank, last) || len(boots) == 0 {
			boots = append(boots, Boot{Start: e.Time})
			rank = -1
		}
		b := &boots[len(boots)-1]
		b.Events = append(b.Events, e)
		if heard(e.Kind) {
			b.Last, last = e.Time, e.Time
		}
		if stage != "" {
			b.reach(stage, e)
			rank = max(rank, Rank(stage))
		}
	}
	if len(boots) > 1 && len(boots[0].Steps) == 0 && !troubled(boots[0].Events) {
		boots[1].Events = append(boots[0].Events, boots[1].Events...)
		boots = boots[1:]
	}
	for i := range boots {
		boots[i].finish()
	}
	return boots
}

// clockStep is by how much a clock was set when an event is older than the one
// that was recorded before it; servers record theirs within seconds.
const clockStep = 30 * time.Second

// setBack moves what was recorded before the server's clock was set back to
// before what came after: otherwise a machine would stay where it was until the
// clock is there again. Events are in the order in which they were recorded.
func setBack(events []Event) {
	var by time.Duration
	for i := len(events) - 2; i >= 0; i-- {
		events[i].Time = events[i].Time.Add(-by)
		if ahead := events[i].Time.Sub(events[i+1].Time); ahead > clockStep {
			by += ahead
			events[i].Time = events[i+1].Time
		}
	}
}

func troubled(events []Event) bool {
	for _, e := range events {
		if e.Problem != "" {
			return true
		}
	}
	return false
}

func (b *Boot) reach(stage string, e Event) {
	for i := range b.Steps {
		if b.Steps[i].Stage == stage {
			if e.Bytes > b.Steps[i].Bytes {
				b.Steps[i].Bytes, b.Steps[i].What = e.Bytes, e.Fields[FieldFile]
			}
			return
		}
	}
	b.Steps = append(b.Steps, Step{Stage: stage, Time: e.Time, What: e.Fields[FieldFile], Bytes: e.Bytes})
}

// finish sorts the steps and computes what took how long.
func (b *Boot) finish() {
	sort.SliceStable(b.Steps, func(i, j int) bool { return Rank(b.Steps[i].Stage) < Rank(b.Steps[j].Stage) })
	began := map[string]time.Time{}
	for _, e := range b.Events {
		if e.Kind == KindHTTPStart || e.Kind == KindTFTPStart {
			began[e.Fields[FieldFile]] = e.Time
		}
	}
	before := b.Start
	for i := range b.Steps {
		s := &b.Steps[i]
		s.After, s.Took = s.Time.Sub(b.Start), max(s.Time.Sub(before), 0)
		before = s.Time
		if t, ok := began[s.What]; ok && s.What != "" && s.Bytes > 0 && s.Time.After(t) {
			s.Rate = float64(s.Bytes) / s.Time.Sub(t).Seconds()
		}
	}
}

// has says whether the boot reached a stage.
func (b *Boot) has(stage string) bool {
	for _, s := range b.Steps {
		if s.Stage == stage {
			return true
		}
	}
	return false
}

// since returns the events after the last step, or all.
func (b *Boot) since() []Event {
	if len(b.Steps) == 0 {
		return b.Events
	}
	last := b.Steps[len(b.Steps)-1].Time
	i := sort.Search(len(b.Events), func(i int) bool { return b.Events[i].Time.After(last) })
	return b.Events[i:]
}

// find returns the last event of one of those kinds after the last step or at
// it, or nil.
func (b *Boot) find(kinds ...string) *Event {
	var at time.Time
	if n := len(b.Steps); n > 0 {
		at = b.Steps[n-1].Time
	}
	for i := len(b.Events) - 1; i >= 0 && !b.Events[i].Time.Before(at); i-- {
		for _, k := range kinds {
			if b.Events[i].Kind == k {
				return &b.Events[i]
			}
		}
	}
	return nil
}

// any is find over the whole boot.
func (b *Boot) any(kinds ...string) *Event {
	for i := len(b.Events) - 1; i >= 0; i-- {
		for _, k := range kinds {
			if b.Events[i].Kind == k {
				return &b.Events[i]
			}
		}
	}
	return nil
}
