package main

import (
	"errors"
	"strings"

	"slipway/internal/machine"
)

// load reads a definition with the overrides of --set. A flag that is no
// KEY=VALUE is wrong usage, not a wrong definition.
func (e *Env) load(path string) (*machine.Definition, error) {
	for _, set := range e.opt.set {
		if !strings.Contains(set, "=") {
			return nil, usageError("--set %q: it wants KEY=VALUE, for example --set arch=arm64", set)
		}
	}
	if path == "" {
		return nil, &statusError{exitUsage, errors.New("name a definition file")}
	}
	return machine.Load(path, machine.Options{Set: e.opt.set})
}
