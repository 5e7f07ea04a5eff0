// Package distro says what slipway needs of a way to package Linux, a family:
// choosing packages from signed indexes, and installing them into a tree.
//
// It holds the interface and the types that cross it. A family lives in a
// folder of its own (deb) and knows nothing of images or targets.
package distro

import (
	"context"

	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Request asks a family to choose packages.
type Request struct {
	Definition *machine.Definition
	Class      plan.Class
	Implied    []Implied  // packages that keys bring, beside Definition.Packages
	Prior      *plan.Lock // versions to keep where the definition still allows them; may be nil
	Refresh    bool       // ask the archive even when the stored indexes are fresh
	Offline    bool       // never use the network
}

// Implied is a package that a key of the definition needs.
type Implied struct {
	Package string
	Key     string
}

// Choice is what a family chose.
type Choice struct {
	Lock  *plan.Lock // pins exactly the requested class
	Notes []string   // sentences for the user: stale indexes, fallbacks
}

// Installer is the part of a family that runs inside a sandbox worker.
type Installer interface {
	// Base makes the base set in an empty tree.
	Base(ctx context.Context, job *Job) error
	// System follows Job.Steps in a tree that holds the base. What it makes
	// may be shared by machines that differ in all but these steps.
	System(ctx context.Context, job *Job) error
	// Packages adds the rest: it follows Job.Steps and does what concerns
	// the machine's packages as a whole.
	Packages(ctx context.Context, job *Job) error
	// Quiet keeps services from being started by what runs in the tree until
	// the returned function is called.
	Quiet(job *Job) (undo func() error, err error)
	// Finish removes what only the build needed; the last call on a tree.
	Finish(ctx context.Context, job *Job) error
}

// Job is one installation, as seen inside the worker.
type Job struct {
	Root       string // the tree
	Definition *machine.Definition
	Class      plan.Class
	Base, Rest []plan.Package
	Lock       *plan.Lock
	Steps      []plan.Step // of this layer
	// SkipInitramfs keeps kernel packages from making an initramfs: none is
	// needed, or slipway makes it.
	SkipInitramfs bool
	// Pack waits until the package's contents are in the store and opens them.
	Pack func(ctx context.Context, sha256 string) (*store.Pack, error)
	// Command runs a program in the tree; the tree's root is filled in.
	Command func(ctx context.Context, c sandbox.Command) error
	// Step reports progress in words.
	Step func(name string)
	// Log passes on the output of programs.
	Log func(text string)
	// Epoch is SOURCE_DATE_EPOCH.
	Epoch int64
	// Unpacked tells the pipeline of a file whose digest is known, so that it is not read again.
	Unpacked func(path string, pack *store.Pack, index int)
	// Device tells the pipeline of a device node, which cannot be made in the
	// folder and lives in the manifest only.
	Device func(e tree.Entry)
}

// Family is one way to package Linux.
type Family interface {
	// Name is the word used in docs/design.md, section 2: "deb".
	Name() string
	// Fingerprint names the indexes that Choose would use, without loading
	// them; "" when the network must be asked first.
	Fingerprint(ctx context.Context, r Request) (string, error)
	// Choose resolves the request against signed indexes.
	Choose(ctx context.Context, r Request) (*Choice, error)
	// Items says where the bytes of the packages are.
	Items(ctx context.Context, d *machine.Definition, packages []plan.Package) ([]fetch.Item, error)
	// Fetcher fetches them, with the family's idea of proxies and credentials.
	Fetcher(d *machine.Definition) (*fetch.Fetcher, error)
	// Sources is what the machine's own package manager is told, by file name;
	// it is part of the base layer's key.
	Sources(d *machine.Definition) (map[string]string, error)
	// Older tells whether version a is older than version b.
	Older(a, b string) bool
	// Unpack turns a fetched package into a pack of the store.
	Unpack(ctx context.Context, s *store.Store, p plan.Package, path string) error
}
