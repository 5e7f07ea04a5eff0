package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Installers is the worker's table of families; cmd fills it in before
// sandbox.Main runs, because the worker has no other way to know them.
var Installers = map[string]distro.Installer{}

func init() { sandbox.Register("build", runWorker) }

// work is the build as root of its own user namespace sees it.
type work struct {
	job
	ctx        context.Context
	worker     *sandbox.Worker
	store      *store.Store
	definition *machine.Definition
	installer  distro.Installer
	supply     *inbox
	known      *knownFiles
}

func runWorker(ctx context.Context, w *sandbox.Worker) error {
	DelayCollector()
	b := &work{ctx: ctx, worker: w, known: newKnownFiles()}
	if err := w.Args(&b.job); err != nil {
		return err
	}
	b.definition = new(machine.Definition)
	if err := json.Unmarshal(b.Definition, b.definition); err != nil {
		return fmt.Errorf("reading the definition in the worker: %w", err)
	}
	installer, ok := Installers[packager(b.definition)]
	if !ok {
		return fmt.Errorf("no installer for %s", b.System)
	}
	b.installer = installer
	s, err := store.Open(b.Store, store.Options{Worker: true})
	if err != nil {
		return err
	}
	defer s.Close()
	b.store = s
	b.supply = newInbox(w, s)
	if err := b.emulate(); err != nil {
		return err
	}
	for _, l := range b.Layers {
		if err := b.make(l); err != nil {
			return err
		}
	}
	return nil
}

func (b *work) emit(e event) {
	// A caller that is gone ends this process anyway.
	_ = b.worker.Emit(e)
}

func (b *work) step(format string, args ...any) { b.emit(event{Step: fmt.Sprintf(format, args...)}) }

// make builds one layer over its parent and commits it.
func (b *work) make(l Layer) error {
	stage, err := b.store.TempDir("layer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	t, err := b.open(l, stage)
	if err != nil {
		return err
	}
	defer t.close()
	if l.Kind == "system" || l.Kind == "packages" {
		t.scripts.Begin(sandbox.Command{Root: t.root, NoSync: true})
	}
	fill := map[string]func(*staged) error{
		"base": b.base, "system": b.system, "packages": b.packages, "definition": b.definitionLayer, "secrets": b.secretLayer,
	}[l.Kind]
	if err := fill(t); err != nil {
		return b.failed(t, err)
	}
	return b.commit(l, t)
}

// staged is a layer in the making: an overlay over its parent, or a plain folder.
type staged struct {
	root   string // the whole tree
	upper  string // what this layer adds
	parent *store.Layer
	// devices cannot be made in a user namespace: they are in the manifest only
	devices []tree.Entry
	scripts sandbox.Session // runs those of packages
}

func (b *work) open(l Layer, stage string) (*staged, error) {
	t := &staged{upper: filepath.Join(stage, "upper")}
	if err := os.Mkdir(t.upper, 0o755); err != nil {
		return nil, err
	}
	if l.Parent == "" {
		t.root = t.upper
		return t, nil
	}
	parent, err := b.store.Layer(l.Parent)
	if err != nil {
		return nil, err
	}
	t.parent = parent
	t.root = filepath.Join(stage, "root")
	workDir := filepath.Join(stage, "work")
	for _, dir := range []string{t.root, workDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := sandbox.MountOverlay(parent.Dirs(), t.upper, workDir, t.root); err != nil {
		return nil, fmt.Errorf("mounting the tree: %w", err)
	}
	return t, nil
}

func (t *staged) close() {
	t.scripts.Close()
	if t.root != t.upper {
		// The mount namespace ends with the worker; an error here changes nothing.
		_ = sandbox.Unmount(t.root)
	}
}

// failed offers the debug shell, then gives the error back: the stage is
// discarded, so nothing half-made stays.
func (b *work) failed(t *staged, err error) error {
	if b.Debug && b.ctx.Err() == nil {
		b.debugShell(t, err)
	}
	return err
}
