// Package install puts Alpine packages into a tree as apk-tools 2.14 does: the
// files from packs, scripts and triggers through Options.Run at apk's moments,
// and the database below /lib/apk/db byte for byte as apk writes it, so that
// the machine's own apk finds nothing to mend.
//
// It runs inside a sandbox worker, where ids are the machine's own. Names are
// resolved with the tree as the root (package intree). The order of calls is:
//
//	in.Seed(...)                    // folders, keys, repositories: apk add --initdb
//	in.Install(ctx, packages)       // one package after the other
//	in.Finish(ctx, world, order)    // folders' permissions, triggers, the database
//	in.Clean()                      // what only the build needed
//
// It is an installer for new packages: it does not upgrade or remove. Where apk
// goes on after a failed script or a file that two packages own and tells so at
// the end, it stops.
package install

import (
	"context"
	"io"
	"time"

	"slipway/internal/distro/intree"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Package is one package to install.
type Package struct {
	Name, Version, Arch string // Arch as the index says
	SHA256              string // names the pack
	Size                int64
	Tag                 string // repository tag it came by
}

// RunFunc runs a program in the tree, as root and with the tree as "/", and
// waits for it. out takes both output streams.
type RunFunc func(ctx context.Context, args, env []string, out io.Writer) error

// Options for New. Root, Open and Run are needed.
type Options struct {
	Root     string
	Epoch    int64 // no date in the tree is later
	Open     func(ctx context.Context, sha256 string) (*store.Pack, error)
	Run      RunFunc
	Log      io.Writer
	Step     func(string)
	Unpacked func(path string, p *store.Pack, index int) // as of deb's installer
	Timeout  time.Duration                               // of every script; 0 means 20 minutes
}

// Installer works on one tree. It is for one goroutine.
type Installer struct {
	opt  Options
	root *intree.Root
	ids  *intree.Owners
	db   *database
}

// New opens the tree's database, which may be empty.
func New(opt Options) (*Installer, error) {
	if opt.Timeout == 0 {
		opt.Timeout = 20 * time.Minute
	}
	if opt.Log == nil {
		opt.Log = io.Discard
	}
	if opt.Step == nil {
		opt.Step = func(string) {}
	}
	if opt.Unpacked == nil {
		opt.Unpacked = func(string, *store.Pack, int) {}
	}
	r, err := intree.Open(opt.Root)
	if err != nil {
		return nil, err
	}
	in := &Installer{opt: opt, root: r, ids: intree.NewOwners(r), db: newDatabase()}
	if err := in.load(); err != nil {
		r.Close()
		return nil, err
	}
	return in, nil
}

// Close releases the tree's descriptors. The tree stays as it is.
func (in *Installer) Close() { in.root.Close() }

// Devices lists the device nodes that a user namespace could not make. They
// belong in the manifest.
func (in *Installer) Devices() []tree.Entry { return in.root.Devices() }
