package equal

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/build"
	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/store"
)

// The build's worker is a second run of this program.
func init() { build.Installers["debian"] = deb.Installer{} }

// Shipyard builds trees into one store.
type Shipyard struct {
	builder *build.Builder
	dir     string // of the definitions
}

// Open opens a store and looks at the host. Definitions are written into dir.
func Open(s *store.Store, dir string) (*Shipyard, error) {
	host, err := sandbox.Detect()
	if err != nil {
		return nil, err
	}
	return &Shipyard{dir: dir, builder: &build.Builder{
		Store: s, Host: host, Progress: progress.New(os.Stderr, progress.Quiet, false),
		Families: map[string]distro.Family{"debian": deb.New(s)},
	}}, nil
}

// Built is a tree that slipway made.
type Built struct {
	*Tree
	Dirs []string  // its layers on the disk, top first
	Date time.Time // of the archive's indexes; SOURCE_DATE_EPOCH
	Took time.Duration
}

// Build makes the plain tree of a set.
func (y *Shipyard) Build(ctx context.Context, s Set, release string) (*Built, error) {
	start := time.Now()
	file := filepath.Join(y.dir, s.Name+"-"+release+".yaml")
	if err := os.WriteFile(file, []byte(s.definition(release)), 0o644); err != nil {
		return nil, err
	}
	d, err := machine.Load(file, machine.Options{})
	if err != nil {
		return nil, err
	}
	result, err := y.builder.Build(ctx, d, build.Options{Class: plan.Plain})
	if err != nil {
		return nil, err
	}
	layer, err := y.builder.Store.Layer(result.Key)
	if err != nil {
		return nil, err
	}
	m, err := layer.Manifest()
	if err != nil {
		return nil, err
	}
	t, err := NewTree(m, layer.Content())
	return &Built{Tree: t, Dirs: result.Dirs, Date: result.Prepared.Lock.Date, Took: time.Since(start)}, err
}
