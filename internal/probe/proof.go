package probe

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
