// Package deb is the Debian family: it chooses packages from signed archives,
// fetches and unpacks them, and installs them in a tree as apt and dpkg would.
//
// The parts are packages of their own: archive and control read what an
// archive says, solve and order decide, debfile and install put packages into
// trees. This package joins them to the interface of package distro.
package deb

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/debfile"
	"slipway/internal/distro/deb/version"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/trace"
)

// Family is the deb family with its indexes in a store.
type Family struct {
	// KeyFile holds OpenPGP keys that are trusted instead of the embedded ones.
	KeyFile string

	store *store.Store
}

var _ distro.Family = (*Family)(nil)

// New returns the family.
func New(s *store.Store) *Family { return &Family{store: s} }

// Name implements distro.Family.
func (f *Family) Name() string { return "deb" }

// distribution is whose archive a definition means.
func distribution(d *machine.Definition) *archive.Distribution {
	if known := archive.DistributionOf(d.Distribution()); known != nil {
		return known
	}
	return archive.Debian
}

// config says which archives a definition means.
func (f *Family) config(d *machine.Definition) (archive.Config, error) {
	c := archive.Config{
		Distribution: distribution(d), Release: d.Release(), Arch: d.Arch, CacheDir: filepath.Join(f.store.Dir(), "indexes"),
		NoDistribution: d.Mirror.None, Components: d.Components, KeyFile: f.KeyFile,
	}
	for _, r := range d.Repositories {
		c.Repositories = append(c.Repositories, archive.Repository{
			URL: r.URL, Suite: r.Suite, Components: r.Components, SignedBy: r.SignedBy, Priority: r.Priority,
		})
	}
	for _, suite := range extraSuites(d) {
		c.Suites = append(c.Suites, suite)
	}
	t, err := transportFor(d)
	if err != nil {
		return c, err
	}
	c.Mirrors = t.mirrors
	c.Fetcher, err = t.fetcher()
	return c, err
}

// extraSuites lists suites that packages ask for by name, "NAME/backports".
func extraSuites(d *machine.Definition) []string {
	var out []string
	for _, spec := range d.Packages {
		_, suite, ok := strings.Cut(spec, "/")
		if !ok || isLocal(spec) || strings.ContainsAny(suite, "/=") {
			continue
		}
		if suite == "backports" || strings.HasSuffix(suite, "-backports") {
			out = append(out, d.Release()+"-backports")
			break
		}
	}
	return out
}

// Fingerprint implements distro.Family.
func (f *Family) Fingerprint(_ context.Context, r distro.Request) (string, error) {
	c, err := f.config(r.Definition)
	if err != nil {
		return "", err
	}
	return archive.Fingerprint(c)
}

// open opens the archives of a request.
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

// Items implements distro.Family. A pinned package is asked for at the
// mirrors, by the path below the archive's base address.
func (f *Family) Items(_ context.Context, d *machine.Definition, packages []plan.Package) ([]fetch.Item, error) {
	t, err := transportFor(d)
	if err != nil {
		return nil, err
	}
	items := make([]fetch.Item, len(packages))
	for i, p := range packages {
		items[i] = fetch.Item{Name: fmt.Sprintf("%s %s (%s)", p.Name, p.Version, p.Arch), Size: p.Size, SHA256: p.SHA256}
		items[i].URLs = t.addresses(p)
	}
	return items, nil
}

// Fetcher implements distro.Family.
func (f *Family) Fetcher(d *machine.Definition) (*fetch.Fetcher, error) {
	t, err := transportFor(d)
	if err != nil {
		return nil, err
	}
	return t.fetcher()
}

// Sources implements distro.Family.
func (f *Family) Sources(d *machine.Definition) (map[string]string, error) { return AptFiles(d) }

// Older implements distro.Family.
func (f *Family) Older(a, b string) bool { return version.Compare(a, b) < 0 }

// Unpack implements distro.Family.
func (f *Family) Unpack(ctx context.Context, s *store.Store, p plan.Package, path string) error {
	return debfile.ToPack(ctx, s, path, p.SHA256, debfile.Want{Package: p.Name, Version: p.Version, Architecture: p.Arch})
}

func isLocal(spec string) bool { return strings.HasSuffix(spec, ".deb") && strings.Contains(spec, "/") }

// localPackages reads the .deb files that a definition names.
func localPackages(d *machine.Definition) ([]*control.Package, error) {
	var out []*control.Package
	for _, spec := range d.Packages {
		if !isLocal(spec) {
			continue
		}
		p, err := debfile.Control(spec)
		if err != nil {
			return nil, fmt.Errorf("%s: packages: %w", d.File, err)
		}
		if p.Architecture != "all" && p.Architecture != d.Arch {
			return nil, fmt.Errorf("%s: packages: %s is for %s, the machine is %s", d.File, spec, p.Architecture, d.Arch)
		}
		out = append(out, p)
	}
	return out, nil
}
