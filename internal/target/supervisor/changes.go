package supervisor

import (
	"encoding/json"
	"fmt"

	"slipway/internal/machine"
)

// Changes says, in plain words, why a machine would have to be started again
// to be what the definition says on a target, with the build of this key;
// empty: it is that.
func (m *Machine) Changes(d *machine.Definition, target, key string) []string {
	var reasons []string
	if m.Target != target {
		return []string{fmt.Sprintf("it is to run on target %s, and runs on %s", target, m.Target)}
	}
	if m.Key != key {
		reasons = append(reasons, fmt.Sprintf("its tree changed (build %.12s, was %.12s)", key, m.Key))
	}
	was := m.rec.Spec.Definition
	for _, part := range []struct {
		name     string
		old, new any
	}{
		{"hostname", was.Hostname, d.Hostname},
		{"init", was.Init, d.Init},
		{"state", was.State, d.State},
		{"shares", was.Shares, d.Shares},
		{"ports", was.Ports, d.Ports},
		{"outside", was.Outside, d.Outside},
		{"restart", was.Restart, d.Restart},
	} {
		if !same(part.old, part.new) {
			reasons = append(reasons, part.name+" changed")
		}
	}
	return append(reasons, m.driverChanges(was, d)...)
}

// driverChanges are those of what only the machine's target has.
func (m *Machine) driverChanges(was, now *machine.Definition) []string {
	driver, err := DriverOf(m.Target)
	if err != nil {
		return nil
	}
	var reasons []string
	old := driver.Parts(was)
	for i, part := range driver.Parts(now) {
		if !same(old[i].Value, part.Value) {
			reasons = append(reasons, part.Name+" changed")
		}
	}
	return reasons
}

// same compares by what is kept in a record: an absent list equals an empty one.
func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	empty := func(s string) string {
		if s == "[]" {
			return "null"
		}
		return s
	}
	return err1 == nil && err2 == nil && empty(string(x)) == empty(string(y))
}
