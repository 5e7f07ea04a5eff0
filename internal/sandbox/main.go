package sandbox

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// The names a re-executed slipway finds in argv[0]. They cannot be typed by
// accident: a program that is called like this was started by this package.
const (
	argWorker  = "slipway:worker"
	argInit    = "slipway:init"
	argSession = "slipway:session"
)

// executable is the running program itself. The link stays valid when the file
// was deleted or replaced meanwhile, as with `go run` or an upgrade.
const executable = "/proc/self/exe"

// Func is the body of a worker. The context ends when the parent cancels.
type Func func(ctx context.Context, w *Worker) error

var (
	registryMu sync.Mutex
	registry   = map[string]Func{}
	entries    = map[string]func() int{}
)

// Register names the body of a worker for Start. It is called from init
// functions or package variables, so that parent and worker agree; a name used
// twice is a programming error and panics.
func Register(name string, f Func) {
	registryMu.Lock()
	defer registryMu.Unlock()
	if registry[name] != nil {
		panic("sandbox: worker " + name + " registered twice")
	}
	registry[name] = f
}

// RegisterEntry names a hidden entry of the program, run by Main when argv[0]
// is name, with its result as exit code. It serves processes that are started
// by EnterExec rather than Start. Names should contain a colon.
func RegisterEntry(name string, f func() int) {
	registryMu.Lock()
	defer registryMu.Unlock()
	if entries[name] != nil {
		panic("sandbox: entry " + name + " registered twice")
	}
	entries[name] = f
}

func lookup(name string) (Func, error) {
	registryMu.Lock()
	defer registryMu.Unlock()
	if f := registry[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("starting worker %q: no such worker is registered in this program", name)
}

// Main must be the first statement of every main function (and TestMain) of a
// program that uses this package. In an ordinary process it returns at once; in
// a worker or another hidden stage it runs that and exits.
func Main() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case argWorker:
		os.Exit(workerMain())
	case argInit:
		os.Exit(initMain())
	case argSession:
		os.Exit(sessionMain())
	}
	registryMu.Lock()
	entry := entries[os.Args[0]]
	registryMu.Unlock()
	if entry != nil {
		os.Exit(entry())
	}
	leaveChroot()
}
