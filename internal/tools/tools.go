// Package tools is the tools tree: foreign programs (QEMU, firmware, GRUB)
// that slipway unpacks for itself, so that a fresh machine needs no package
// installed and no root.
//
// A set (see Sets) names packages of Debian's signed archive. They are chosen
// and fetched by the deb family like those of any machine, but only unpacked:
// no script runs, every file belongs to the caller, and nothing outside the
// store changes. A program runs through the tree's own dynamic loader, so the
// host's libraries do not matter. Which packages a set consists of is
// remembered, so that later starts need neither resolver nor network. A
// program of the host is preferred where it is good enough.
//
//	t := tools.Open(ctx, tools.Deps{Store: s, Family: deb.New(s)})
//	cmd, err := t.Command(ctx, "qemu", "qemu-system-x86_64", "-version")
//
// The package does not know what the programs do, and it is no package
// manager: a tree is made whole or not at all, and never changed.
package tools

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"slipway/internal/distro"
	"slipway/internal/progress"
	"slipway/internal/store"
)

// System is where the programs come from.
const System = "debian/trixie"

// Deps is what a tools tree needs.
type Deps struct {
	Store    *store.Store
	Family   distro.Family      // deb
	Progress *progress.Reporter // may be nil
	Arch     string             // of this computer; default: the running program's
	Offline  bool               // never use the network
	Refresh  bool               // choose packages anew, once per set
	// OnlyTree leaves the host's programs alone, however good they are.
	OnlyTree bool
	// HostRoot is where the host's programs are looked for; default "/".
	HostRoot string
}

// Tools gives access to the sets. It is safe for concurrent use.
type Tools struct {
	d Deps

	mu    sync.Mutex
	found map[string]*place
}

// place is where a set was found.
type place struct {
	mu   sync.Mutex
	host bool   // the host's own programs
	root string // "/" or the tree
	key  string // of the tree
	done bool
}

// Open readies the sets of tools. Nothing is looked at or fetched before it is
// needed.
func Open(_ context.Context, d Deps) *Tools {
	if d.Arch == "" {
		d.Arch = hostArch()
	}
	if d.HostRoot == "" {
		d.HostRoot = "/"
	}
	return &Tools{d: d, found: map[string]*place{}}
}

// hostArch is this computer's architecture in Debian's words.
func hostArch() string {
	switch runtime.GOARCH {
	case "arm":
		return "armhf"
	case "386":
		return "i386"
	}
	return runtime.GOARCH
}

// Ensure makes a set usable: it finds good programs on the host, or the tree
// in the store, or it fetches and unpacks.
func (t *Tools) Ensure(ctx context.Context, set string) error {
	_, err := t.place(ctx, set)
	return err
}

// Root is the folder that a set's paths are below: "/" when the host's
// programs are used.
func (t *Tools) Root(ctx context.Context, set string) (string, error) {
	p, err := t.place(ctx, set)
	if err != nil {
		return "", err
	}
	return p.root, nil
}

// Key is the key of the set's tree in the store, to be pinned while programs
// of it run; "" when the host's programs are used.
func (t *Tools) Key(ctx context.Context, set string) (string, error) {
	p, err := t.place(ctx, set)
	if err != nil {
		return "", err
	}
	return p.key, nil
}

func (t *Tools) place(ctx context.Context, name string) (*place, error) {
	s, err := lookup(name)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	p := t.found[name]
	if p == nil {
		p = &place{}
		t.found[name] = p
	}
	t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return p, nil
	}
	if !t.d.OnlyTree {
		if h := s.onHost(ctx, t.d.HostRoot, t.d.Arch); h.Good {
			p.host, p.root, p.done = true, t.d.HostRoot, true
			return p, nil
		}
	}
	if p.key, p.root, err = t.tree(ctx, s); err != nil {
		return nil, err
	}
	p.done = true
	return p, nil
}

func lookup(name string) (*Set, error) {
	i := slices.IndexFunc(Sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range Sets {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("there is no set of tools %q; there are %s", name, strings.Join(names, ", "))
	}
	return &Sets[i], nil
}
