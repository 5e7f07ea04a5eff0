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

// ImpliedList collects packages that keys bring, each once.
type ImpliedList struct{ list []Implied }

// Add notes that a key needs a package; the first key counts.
func (l *ImpliedList) Add(name, key string) {
	for _, have := range l.list {
		if have.Package == name {
			return
		}
	}
	l.list = append(l.list, Implied{Package: name, Key: key})
}

// All is the list.
func (l *ImpliedList) All() []Implied { return l.list }

// Installed is a package as a tree's own database has it.
type Installed struct {
	Name, Version, Arch string
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
	// Name is the word used in docs/design.md, section 2: "deb". The store
	// keeps the family's packages under this name too.
	Name() string
	// Implied lists the packages that keys of the definition need, each once,
	// in the order of the keys; nothing with "init: none".
	Implied(d *machine.Definition, class plan.Class) []Implied
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
	// Installed reads what a tree's own database says is installed. read gives
	// a file by its path without the leading slash, fs.ErrNotExist if there is
	// none.
	Installed(read func(path string) ([]byte, error)) ([]Installed, error)
	// Query is the command that prints the database of a running machine, and
	// Answer reads what it printed.
	Query() []string
	Answer(output []byte) ([]Installed, error)
	// Unpack turns a fetched package into a pack of the store.
	Unpack(ctx context.Context, s *store.Store, p plan.Package, path string) error
}
