package netboot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/machine"
)

// System is what a machine boots: a kernel and its initrd.
type System struct {
	Version string // names these bytes; it stands in events and on the screen
	Kernel  string // file
	Initrd  string // file; empty: none
	Cmdline string
	Memory  int64 // bytes without which it cannot run; 0: not known
	Secret  bool  // its root holds secrets: only the machine itself gets it, once

	// Fetch is the file that the initrd fetches, and Needs the memory that the
	// machine needs with it; empty: the initrd holds all.
	Fetch string
	Needs int64
	// Within is how long this version may take to prove itself, by Probes; 0:
	// nobody wants a proof.
	Within time.Duration
	Probes []machine.Probe
}

// Images makes what machines boot. Its methods may be called by many at once
// and answer at once: what is not there yet is being made, and the error says
// so (ErrMaking) or why it cannot be made.
type Images interface {
	// RAM is the system that the machine runs from memory: the newest, or the
	// last that proved itself. It is asked once for each start.
	RAM(ctx context.Context, m *Machine) (*System, error)
	// Node is the small system that looks at a machine, installs and repairs
	// it, see package node. m is nil for an unknown machine.
	Node(ctx context.Context, m *Machine) (*System, error)
	// Memtest is a program that tests memory.
	Memtest(ctx context.Context, firmware string) (*System, error)
}

// ErrMaking says that something is being made, and will be there later.
var ErrMaking = errors.New("it is being made")

// Fixed is an Images for machines whose systems are there already.
type Fixed map[string]*System

var _ Images = Fixed(nil)

// The other rows of a Fixed than machines' names.
const (
	NodeSystem    = "/node"
	MemtestSystem = "/memtest"
)

// RAM finds the machine's own row.
func (f Fixed) RAM(_ context.Context, m *Machine) (*System, error) { return f.row(m.Name, m.Name) }

// Node finds the row NodeSystem.
func (f Fixed) Node(context.Context, *Machine) (*System, error) {
	return f.row(NodeSystem, "the small system for installing")
}

// Memtest finds the row MemtestSystem.
func (f Fixed) Memtest(context.Context, string) (*System, error) {
	return f.row(MemtestSystem, "a memory test")
}

func (f Fixed) row(key, what string) (*System, error) {
	if s := f[key]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("this server does not have %s", what)
}
