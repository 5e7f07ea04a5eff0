package netboot

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"slipway/internal/machine"
)

// Builds makes systems when they are first needed, and again
// when their definition changes. Until a new version is there the old one is
// served; one that cannot be made leaves the old one in place. Systems are made
// one at a time.
type Builds struct {
	Context context.Context // ends what is being made
	// Make makes the system of a definition. It may take its time.
	Make func(context.Context, *machine.Definition) (*System, error)
	// Note is told of every system that was made, or could not be.
	Note func(machine string, s *System, err error)

	mu    sync.Mutex
	made  map[string]*made
	one   sync.Mutex // held while a system is made
	tasks sync.WaitGroup
}

// made is the state of one machine's system.
type made struct {
	system *System
	err    error
	busy   bool
	again  bool // it changed while it was being made
}

// System gives the system that is there, or begins to make it.
func (b *Builds) System(m *Machine) (*System, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.made[m.Name]
	switch {
	case state != nil && state.system != nil:
		return state.system, nil
	case state != nil && state.err != nil && !state.busy:
		return nil, state.err
	case state == nil || !state.busy:
		b.begin(m)
	}
	return nil, fmt.Errorf("the system of %s: %w", m.Name, ErrMaking)
}

// Renew makes the system of a machine anew, if its definition says so. One that
// was never asked for is made ahead, or left until it is.
func (b *Builds) Renew(m *Machine, ahead bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ahead && b.made[m.Name] == nil {
		return
	}
	if state := b.made[m.Name]; state != nil && state.busy {
		state.again = true
		return
	}
	b.begin(m)
}

// begin starts a task; b.mu is held.
func (b *Builds) begin(m *Machine) {
	if b.made == nil {
		b.made = map[string]*made{}
	}
	state := b.made[m.Name]
	if state == nil {
		state = new(made)
		b.made[m.Name] = state
	}
	state.busy = true
	b.tasks.Go(func() { b.run(m, state) })
}

// run makes a system until it is as its definition says.
func (b *Builds) run(m *Machine, state *made) {
	for {
		system, err := b.makeOne(m)
		b.mu.Lock()
		state.err = err
		if err == nil {
			state.system = system
		}
		again := state.again && b.Context.Err() == nil
		state.again, state.busy = false, again
		b.mu.Unlock()
		if b.Note != nil && !errors.Is(err, context.Canceled) {
			b.Note(m.Name, system, err)
		}
		if !again {
			return
		}
	}
}

func (b *Builds) makeOne(m *Machine) (*System, error) {
	b.one.Lock()
	defer b.one.Unlock()
	if err := b.Context.Err(); err != nil {
		return nil, err
	}
	d, err := m.Definition()
	if err != nil {
		return nil, err
	}
	return b.Make(b.Context, d)
}

// Wait waits until nothing is being made.
func (b *Builds) Wait() { b.tasks.Wait() }
