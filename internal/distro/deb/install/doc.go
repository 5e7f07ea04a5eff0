// Package install puts Debian packages into a tree as dpkg and mmdebstrap
// would: it unpacks natively, from packs, and lets the tree's own dpkg do the
// configuring, so that maintainer scripts, conffiles and triggers are handled
// by the program that the distribution's own packages expect.
//
// It runs inside a sandbox worker, where ids are the machine's own, and it
// never runs a program itself: maintainer scripts and dpkg go through
// Options.Run. Names inside the tree are resolved by the kernel with the tree
// as the root (openat2, RESOLVE_IN_ROOT), so that no link leads outside.
//
// The order of calls for a whole tree is that of mmdebstrap 1.5:
//
//	in.Seed(...)             // folders, architecture, sources
//	in.Extract(ctx, base)    // the essential packages, no scripts
//	release, _ := in.Guard() // no service is started
//	in.InstallBase(ctx, base)
//	in.Unpack(ctx, group); in.Configure(ctx, group) // apt's plan, repeated
//	in.ConfigurePending(ctx)
//	in.MarkAuto(packages)
//	release()
//	in.Finish()
//
// It is an installer for new packages only: it does not upgrade, remove or
// purge, and it leaves a package whose files were all taken over by another
// ("disappeared") in the database. The formats are those of deb(5),
// deb-conffiles(5), deb-triggers(5), dpkg-divert(1), dpkg-statoverride(1) and
// Debian policy chapters 6, 7 and 10.
package install

import (
	"context"
	"errors"
	"io"
	"time"

	"slipway/internal/distro/intree"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Package is one package to install.
type Package struct {
	Name    string
	Version string
	Arch    string // "all" for such packages
	SHA256  string // names the pack
}

// RunFunc runs a program in the tree, as root and with the tree as "/", and
// waits for it. env is added to the sandbox's own. out takes both output
// streams. The error for a program that failed wraps a *sandbox.ExitError, or
// something with a method ExitCode() int.
type RunFunc func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error

// Options for New. Root, Arch, Open and Run are needed.
type Options struct {
	Root    string   // the tree's directory
	Arch    string   // native architecture
	Foreign []string // further architectures, in order
	Epoch   int64    // SOURCE_DATE_EPOCH of the scripts, seconds

	// Open gives the pack of a package; it may wait until it is there.
	Open func(ctx context.Context, sha256 string) (*store.Pack, error)
	Run  RunFunc

	// Log takes the output of every script and of dpkg. Optional.
	Log io.Writer
	// Step is told what is being done, in a few words. Optional.
	Step func(string)
	// Unpacked is told where a file's content came from; the path is the
	// real one, relative to Root. A script may change the file later, so a
	// user must compare size and time. Optional.
	Unpacked func(path string, p *store.Pack, index int)

	// SkipInitramfs keeps kernel packages from making an initramfs. It is
	// said to their hooks by INITRD=No (as kernel-package did), which
	// leaves no trace in the tree.
	SkipInitramfs bool
	// KernelsInOrder configures kernel packages where apt would. By default
	// they come last, which makes the same tree (but for dpkg's status-old)
	// and spares a second initramfs.
	KernelsInOrder bool
	// Timeout bounds every single run of a program; 0 means 20 minutes.
	Timeout time.Duration
}

// ErrNoDpkg says that a tree has no dpkg of its own, which configures packages.
var ErrNoDpkg = errors.New("installing without dpkg in the base set is not yet possible; add the package dpkg to the base")

// Installer works on one tree. It is for one goroutine. Between its calls
// nothing but programs started through Options.Run may change the tree's
// package database.
type Installer struct {
	opt  Options
	root *root
	db   *database
	ids  *intree.Owners

	extracted map[string]bool // SHA-256 of packages whose files are in place
	devices   []tree.Entry

	keepOwner bool // tests as a normal user: files stay ours
}

// New opens the tree's package database, which may be empty.
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
	in := &Installer{opt: opt, root: r, ids: intree.NewOwners(r), extracted: map[string]bool{}}
	in.db = newDatabase(r, opt.Arch)
	if err := in.db.load(); err != nil {
		r.Close()
		return nil, err
	}
	return in, nil
}

// Close releases the tree's descriptors. The tree stays as it is.
func (in *Installer) Close() { in.root.Close() }
