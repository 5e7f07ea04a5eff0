// Package apk is the Alpine family: it chooses packages from signed indexes as
// apk-tools does, fetches and unpacks them, and installs them in a tree with
// apk's own database.
//
// The parts are packages of their own: archive and index read what a repository
// says, solve decides, apkfile and install put packages into trees. This
// package joins them to the interface of package distro.
package apk

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/distro/apk/version"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/trace"
)

// Family is the apk family with its indexes in a store.
type Family struct {
	store *store.Store
}

var _ distro.Family = (*Family)(nil)

// New returns the family.
func New(s *store.Store) *Family { return &Family{store: s} }

// Name implements distro.Family.
func (f *Family) Name() string { return "apk" }

// config says which repositories a definition means.
func (f *Family) config(d *machine.Definition) (archive.Config, error) {
	c := archive.Config{CacheDir: filepath.Join(f.store.Dir(), "indexes")}
	var err error
	if c.Arch, err = archive.Arch(d.Arch); err != nil {
		return c, fmt.Errorf("%s: %w", d.At("arch"), err)
	}
	if c.Sources, err = sources(d); err != nil {
		return c, err
	}
	c.Fetcher, err = f.Fetcher(d)
	return c, err
}

// Fingerprint implements distro.Family.
func (f *Family) Fingerprint(_ context.Context, r distro.Request) (string, error) {
	c, err := f.config(r.Definition)
	if err != nil {
		return "", err
	}
	return archive.Fingerprint(c), nil
}

// open opens the repositories of a request.
func (f *Family) open(ctx context.Context, r distro.Request) (*archive.Archive, error) {
	defer trace.Region("open archive")()
	c, err := f.config(r.Definition)
	if err != nil {
		return nil, err
	}
	c.Offline = r.Offline
	if r.Refresh {
		c.MaxAge = -1
	}
	return archive.Open(ctx, c)
}

// Items implements distro.Family.
func (f *Family) Items(_ context.Context, d *machine.Definition, packages []plan.Package) ([]fetch.Item, error) {
	items := make([]fetch.Item, len(packages))
	for i, p := range packages {
		items[i] = fetch.Item{Name: p.Name + " " + p.Version, Size: p.Size, SHA256: p.SHA256, URLs: []string{address(d, p)}}
	}
	return items, nil
}

// address is where a pinned package is fetched from.
func address(d *machine.Definition, p plan.Package) string {
	file := (&url.URL{Path: p.File}).EscapedPath()
	switch {
	case p.Suite == "":
		return "file://" + file
	case p.URL != "":
		return p.URL + "/" + file
	}
	if _, component, ok := strings.Cut(file, "/"); ok && flat(d) {
		file = component
	}
	return mirror(d) + "/" + file
}

// Fetcher implements distro.Family.
func (f *Family) Fetcher(*machine.Definition) (*fetch.Fetcher, error) {
	client, err := fetch.NewClient(fetch.Transport{})
	if err != nil {
		return nil, err
	}
	return &fetch.Fetcher{Client: client}, nil
}

// Sources implements distro.Family.
func (f *Family) Sources(d *machine.Definition) (map[string]string, error) { return told(d) }

// Older implements distro.Family.
func (f *Family) Older(a, b string) bool { return version.Compare(a, b) == version.Less }

// Unpack implements distro.Family.
func (f *Family) Unpack(ctx context.Context, s *store.Store, p plan.Package, path string) error {
	return apkfile.ToPack(ctx, s, path, p.SHA256, apkfile.Want{Name: p.Name, Version: p.Version})
}
