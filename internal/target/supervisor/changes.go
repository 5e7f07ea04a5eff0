package container

import (
	"encoding/json"
	"fmt"

	"slipway/internal/machine"
)

// Changes says, in plain words, why a machine would have to be started again
// to be what the definition and the build of this key say; empty: it is that.
func (m *Machine) Changes(d *machine.Definition, key string) []string {
	var reasons []string
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
		{"container.binds", was.Container.Binds, d.Container.Binds},
		{"container.devices", was.Container.Devices, d.Container.Devices},
		{"container.limits", was.Container.Limits, d.Container.Limits},
		{"ports", was.Ports, d.Ports},
		{"outside", was.Outside, d.Outside},
		{"restart", was.Restart, d.Restart},
	} {
		if !same(part.old, part.new) {
			reasons = append(reasons, part.name+" changed")
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
