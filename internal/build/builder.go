// Package build is the pipeline from a definition to a tree: choose packages
// or obey the lock, fetch, unpack, configure, apply the definition, keep every
// step as a layer of the store.
//
// Builder.Build reads from top to bottom as docs/design.md, section 5 does.
// What runs inside the user namespace is in worker.go; the rest of the package
// is the caller's side. The package writes no images and starts nothing.
package build

import (
	"context"
	"fmt"
	"strconv"

	"slipway/internal/boot"
	"slipway/internal/distro"
	"slipway/internal/distro/tarball"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tools"
	"slipway/internal/trace"
)

// Builder builds machines into one store.
type Builder struct {
	Store    *store.Store
	Host     *sandbox.Host
	Progress *progress.Reporter
	Families map[string]distro.Family // by distribution name: "debian"
	Tools    *tools.Tools             // foreign programs; nil: none
	// Foreign lays out file systems that slipway does not write itself; nil:
	// they are refused.
	Foreign boot.Planner
}

// Options say how one build behaves.
type Options struct {
	Class      plan.Class
	LockFile   string // default: beside the definition
	Locked     bool   // refuse any byte that the lock does not pin
	Refresh    bool   // ask the archive even when the stored indexes are fresh
	Offline    bool
	DebugShell bool // enter the tree when a step in it fails
}

// Result is a built machine.
type Result struct {
	Prepared *Prepared
	Key      string   // of the top layer
	Dirs     []string // overlay lower folders, top first
	Bytes    int64    // of the tree's files
	Fetched  int64    // bytes that came over the network
	Reused   int      // packages that were in the store already
	Built    []string // kinds of the layers that had to be made
}

// Build makes the machine's tree, or finds it in the store.
func (b *Builder) Build(ctx context.Context, d *machine.Definition, opt Options) (*Result, error) {
	defer trace.Region("build " + d.Name)()
	p, err := b.Prepare(ctx, d, opt)
	if err != nil {
		return nil, err
	}
	return b.Make(ctx, p, opt)
}

// Make builds what Prepare chose.
func (b *Builder) Make(ctx context.Context, p *Prepared, opt Options) (*Result, error) {
	result := &Result{Prepared: p, Key: p.Key()}
	missing := b.missing(p.Layers)
	if len(missing) > 0 {
		unlock, err := b.Store.Lock("build-"+p.Key()[:16], true)
		if err != nil {
			return nil, err
		}
		defer unlock()
		missing = b.missing(p.Layers) // another slipway may have built it while we waited
	}
	for _, l := range missing {
		result.Built = append(result.Built, l.Kind)
	}
	if len(missing) > 0 {
		err := b.makeLayers(ctx, p, missing, opt, result)
		if err != nil && ctx.Err() == nil && b.dropDamaged(wanted(p, missing)) {
			err = b.makeLayers(ctx, p, b.missing(p.Layers), opt, result)
		}
		if err != nil {
			b.Store.Log("build", map[string]any{"machine": p.Definition.Name, "key": p.Key(), "ok": false, "error": err.Error()})
			return nil, err
		}
	}
	layer, err := b.Store.Layer(p.Key())
	if err != nil {
		return nil, fmt.Errorf("opening what was built: %w", err)
	}
	result.Dirs = layer.Dirs()
	// A layer without the figure was written by a program that did not keep it.
	result.Bytes, _ = strconv.ParseInt(layer.Meta().Info["bytes"], 10, 64)
	if err := b.checkSize(p, layer, result.Bytes); err != nil {
		return nil, err
	}
	b.Store.Log("build", map[string]any{
		"machine": p.Definition.Name, "definition": p.Definition.File, "key": p.Key(), "lock": p.Lock.Digest(),
		"ok": true, "built": result.Built, "fetched": result.Fetched,
	})
	return result, nil
}

// missing returns the layers from the first one that the store does not hold.
func (b *Builder) missing(layers []Layer) []Layer {
	for i := len(layers) - 1; i >= 0; i-- {
		if b.Store.HasLayer(layers[i].Key) {
			return layers[i+1:]
		}
	}
	return layers
}

// Family finds who packages the definition's system.
func (b *Builder) Family(d *machine.Definition) (distro.Family, error) { return b.family(d) }

// packager is the row of the tables of families: a distribution, or what takes
// root archives.
func packager(d *machine.Definition) string {
	if d.FromTarball() {
		return tarball.Name
	}
	return d.Distribution()
}

func (b *Builder) family(d *machine.Definition) (distro.Family, error) {
	name := packager(d)
	f, ok := b.Families[name]
	if !ok {
		return nil, fmt.Errorf("%s: system %s is not yet supported by this program", d.File, d.System)
	}
	return f, nil
}
