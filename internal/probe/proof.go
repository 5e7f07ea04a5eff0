package probe

import (
	"encoding/json"
	"fmt"
	"io"
)

// Proof is the report of a run: every stage and every probe with its time.
// Its JSON form is a contract (docs/design.md, section 4).
type Proof struct {
	Machine    string         `json:"machine"`
	Definition string         `json:"definition"` // path of the definition file
	Lock       string         `json:"lock"`       // digest of the lock that was built
	Targets    []TargetReport `json:"targets"`
}

// TargetReport is what one target showed.
type TargetReport struct {
	Name    string   `json:"name"`
	OK      bool     `json:"ok"`
	Seconds float64  `json:"seconds"`
	Reason  string   `json:"reason"`
	Stages  []Result `json:"stages"`
	Probes  []Result `json:"probes"`
}

// Result is the outcome of one stage or probe. Reason is empty when it held.
type Result struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Reason  string  `json:"reason"`
}

// OK tells whether every target was proved. A proof of nothing proves nothing.
func (p *Proof) OK() bool {
	for _, t := range p.Targets {
		if !t.OK {
			return false
		}
	}
	return len(p.Targets) > 0
}

// NewTarget makes a target's report from what was seen. It is good when every
// stage and every probe held; the reason names what did not.
func NewTarget(name string, seconds float64, stages, probes []Result) TargetReport {
	t := TargetReport{Name: name, OK: true, Seconds: seconds, Stages: stages, Probes: probes}
	for _, group := range []struct {
		kind string
		list []Result
	}{{"stage", stages}, {"probe", probes}} {
		for _, r := range group.list {
			if r.OK {
				continue
			}
			if t.OK {
				t.Reason = fmt.Sprintf("%s %s: %s", group.kind, r.Name, r.Reason)
			}
			t.OK = false
		}
	}
	return t
}

// WriteJSON writes the report that --report asks for: one document, with empty
// lists rather than null.
func WriteJSON(w io.Writer, p *Proof) error {
	whole := *p
	whole.Targets = make([]TargetReport, len(p.Targets))
	for i, t := range p.Targets {
		t.Stages, t.Probes = append([]Result{}, t.Stages...), append([]Result{}, t.Probes...)
		whole.Targets[i] = t
	}
	data, err := json.MarshalIndent(&whole, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
