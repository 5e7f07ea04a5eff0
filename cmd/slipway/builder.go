package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/distro"
	"slipway/internal/distro/apk"
	"slipway/internal/distro/deb"
	"slipway/internal/distro/tarball"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/target/mkfs"
	"slipway/internal/tools"
)

// families is the table of distributions and who packages them.
var families = []struct {
	distribution string
	open         func(*store.Store) distro.Family
	installer    distro.Installer
}{
	{"debian", func(s *store.Store) distro.Family { return deb.New(s) }, deb.Installer{}},
	{"ubuntu", func(s *store.Store) distro.Family { return deb.New(s) }, deb.Installer{}},
	{"alpine", func(s *store.Store) distro.Family { return apk.New(s) }, apk.Installer{}},
	{tarball.Name, func(s *store.Store) distro.Family { return tarball.New(s) }, tarball.Installer{}},
}

// The worker is a second run of this program, so its table is filled before main.
func init() {
	for _, f := range families {
		build.Installers[f.distribution] = f.installer
	}
}

// builder opens the store and looks at the host.
func (e *Env) builder() (*build.Builder, error) {
	s, err := e.openStore()
	if err != nil {
		return nil, err
	}
	host, err := sandbox.Detect()
	if err != nil {
		return nil, err
	}
	byName := map[string]distro.Family{}
	for _, f := range families {
		byName[f.distribution] = f.open(s)
	}
	programs := tools.Open(context.Background(), tools.Deps{Store: s, Family: deb.New(s), Progress: e.reporter()})
	foreign := mkfs.New(mkfs.Deps{Tools: programs, TempDir: s.TempDir, Memo: filepath.Join(s.Dir(), "notes"), Progress: e.reporter()})
	return &build.Builder{
		Store: s, Host: host, Progress: e.reporter(),
		Families: byName, Tools: programs, Foreign: foreign.Plan,
	}, nil
}

// buildFlags are the flags of every verb that builds.
type buildFlags struct {
	lock                                 string
	locked, refresh, offline, debugShell bool
}

func (f *buildFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.locked, "locked", false, "build only what FILE.lock pins, and fail otherwise")
	cmd.Flags().StringVar(&f.lock, "lock", "", "use this `LOCK` instead of FILE.lock")
	cmd.Flags().BoolVar(&f.refresh, "refresh", false, "ask the archive even when the stored indexes are fresh")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "use only what is in the store; never the network")
	cmd.Flags().BoolVar(&f.debugShell, "debug-shell", false, "enter the tree when a step in it fails")
}

func (f *buildFlags) options(class plan.Class) build.Options {
	return build.Options{Class: class, LockFile: f.lock, Locked: f.locked, Refresh: f.refresh, Offline: f.offline, DebugShell: f.debugShell}
}

// open loads a definition and readies a builder for it.
func (e *Env) open(file string) (*machine.Definition, *build.Builder, error) {
	d, err := e.load(file)
	if err != nil {
		return nil, nil, err
	}
	b, err := e.builder()
	return d, b, err
}

// build loads a definition and builds it for a class.
func (e *Env) build(ctx context.Context, file string, flags buildFlags, class plan.Class) (*build.Builder, *build.Result, error) {
	d, b, err := e.open(file)
	if err != nil {
		return nil, nil, err
	}
	result, err := b.Build(ctx, d, flags.options(class))
	if err != nil {
		return nil, nil, err
	}
	for _, note := range result.Prepared.Notes {
		e.reporter().Note(note)
	}
	return b, result, nil
}

var errOneFile = errors.New("name one definition file")

// oneFile is the argument check of verbs that take a definition.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errOneFile
	}
	return nil
}
