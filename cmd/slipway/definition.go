package main

import (
	"slipway/internal/machine"
)

// load reads a definition with the overrides of --set.
func (e *Env) load(path string) (*machine.Definition, error) {
	return machine.Load(path, machine.Options{Set: e.opt.set})
}
