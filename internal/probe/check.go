package probe

import (
	"fmt"

	"slipway/internal/machine"
)

// Capabilities is what a target can offer to probes.
type Capabilities struct {
	Target   string // its name, for messages
	Network  bool   // Reach.Dial
	Exec     bool   // Reach.Exec
	Terminal bool   // Reach.Terminal
	Usage    bool   // Reach.Usage
	Pending  bool   // the Reach is a Pender
	Reboot   bool   // the Reach is a Rebooter
}

// Check finds everything that would keep probes from being tried on a target:
// a way in that it has not, an order that cannot be. Each error starts with
// the probe's position.
func Check(probes []machine.Probe, have Capabilities) []error {
	var errs []error
	complain := func(p *machine.Probe, format string, args ...any) {
		where := ""
		if p.Pos.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d: ", p.Pos.File, p.Pos.Line, p.Pos.Column)
		}
		errs = append(errs, fmt.Errorf("%sprobe %q: %s", where, Name(p), fmt.Sprintf(format, args...)))
	}
	r := &run{}
	given := map[string]int{}
	for i := range probes {
		r.jobs = append(r.jobs, newJob(&probes[i]))
		if probes[i].Name != "" {
			given[probes[i].Name]++
		}
	}
	r.order()
	for i := range probes {
		p := &probes[i]
		if fault := r.jobs[i].fault; fault != "" {
			complain(p, "%s", fault)
		}
		if given[p.Name] > 1 {
			given[p.Name] = 0 // once is enough
			complain(p, "two probes have this name")
		}
		if k := kindOf(p); k != nil {
			for _, lacking := range have.lacking(k.ways) {
				complain(p, "a probe of kind %s needs %s, which target %s has not", k.name, lacking, have.Target)
			}
		}
	}
	return errs
}

// lacking names the ways that are needed and not there.
func (have Capabilities) lacking(need way) []string {
	var names []string
	for _, w := range []struct {
		way  way
		have bool
		name string
	}{
		{byNetwork, have.Network, "the network"},
		{byExec, have.Exec, "a way to run commands inside"},
		{byTerminal, have.Terminal, "a terminal"},
		{byUsage, have.Usage, "a measure of what is used"},
		{byPending, have.Pending, "the archive's state as of the lock"},
		{byReboot, have.Reboot, "a way to switch the machine off and on"},
	} {
		if need&w.way != 0 && !w.have {
			names = append(names, w.name)
		}
	}
	return names
}
