package tarball

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"time"

	"slipway/internal/distro"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Name is the family's word, in the store and in the tables of families.
const Name = "tarball"

// Family takes root archives, with what was fetched in a store.
type Family struct {
	store *store.Store
	now   func() time.Time
}

var _ distro.Family = (*Family)(nil)

// New returns the family.
func New(s *store.Store) *Family { return &Family{store: s, now: time.Now} }

// Name implements distro.Family.
func (f *Family) Name() string { return Name }

// Implied implements distro.Family: no key can bring a package.
func (f *Family) Implied(*machine.Definition, plan.Class) []distro.Implied { return nil }

// Fingerprint implements distro.Family: the archive is its own index.
func (f *Family) Fingerprint(_ context.Context, r distro.Request) (string, error) {
	return digestOf(r.Definition.From)
}

// digestOf is what the definition says, or what the file has.
func digestOf(from *machine.From) (string, error) {
	if from.SHA256 != "" {
		return from.SHA256, nil
	}
	return hashFile(from.File)
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// Choose implements distro.Family. It reads the archive as a whole, so that a
// bad one is refused before anything is built of it.
func (f *Family) Choose(ctx context.Context, r distro.Request) (*distro.Choice, error) {
	d := r.Definition
	sum, err := digestOf(d.From)
	if err != nil {
		return nil, fmt.Errorf("%s: from: %w", d.At("from"), err)
	}
	p := plan.Package{Name: "rootfs", Version: sum[:12], Arch: d.Arch, SHA256: sum, File: d.From.File, URL: d.From.URL, Suite: Name, Why: "base"}
	if p.URL != "" {
		p.File = path.Base(p.URL)
	}
	date, err := f.look(ctx, r, &p)
	if err != nil {
		return nil, fmt.Errorf("%s: from: %s: %w", d.At("from"), shown(p), err)
	}
	return &distro.Choice{Lock: &plan.Lock{
		Version: plan.LockVersion, System: d.System, Arch: d.Arch, Date: date.UTC(), Request: map[plan.Class]string{},
		Base: map[plan.Class][]string{r.Class: {p.ID()}}, Rest: map[plan.Class][]string{r.Class: {}},
		Steps: map[plan.Class][]plan.Step{r.Class: {}}, Packages: []plan.Package{p},
	}}, nil
}

func shown(p plan.Package) string {
	if p.URL != "" {
		return fetch.Redact(p.URL)
	}
	return p.File
}

// look brings the archive into the store and reads its size and its date: that
// of its newest member, but not one in the future.
func (f *Family) look(ctx context.Context, r distro.Request, p *plan.Package) (time.Time, error) {
	file := f.store.ObjectPath(Name, p.SHA256)
	seen := &dates{now: f.now(), newest: time.Unix(0, 0)}
	if err := f.bring(ctx, r, *p, file); err != nil {
		return seen.newest, err
	}
	st, err := os.Stat(file)
	if err != nil {
		return seen.newest, err
	}
	p.Size = st.Size()
	if err = readFileTo(ctx, file, seen); errors.Is(err, ErrFormat) || errors.Is(err, ErrLimit) {
		err = errors.Join(err, f.store.RemoveObject(Name, p.SHA256))
	}
	return seen.newest, err
}

// bring makes sure that the right archive is in the store.
func (f *Family) bring(ctx context.Context, r distro.Request, p plan.Package, file string) error {
	if f.store.HasObject(Name, p.SHA256) {
		return f.store.VerifyObject(Name, p.SHA256)
	}
	from := r.Definition.From
	if from.File != "" && from.SHA256 != "" {
		if sum, err := hashFile(from.File); err != nil {
			return err
		} else if sum != from.SHA256 {
			return fmt.Errorf("its SHA-256 is %s, and the definition wants %s; get the right file, or correct from.sha256", sum, from.SHA256)
		}
	}
	fetcher, err := f.Fetcher(r.Definition)
	if err != nil {
		return err
	}
	fetcher.Offline = r.Offline && from.URL != ""
	items, err := f.Items(ctx, r.Definition, []plan.Package{p})
	if err != nil {
		return err
	}
	items[0].Dest = file
	return fetcher.Fetch(ctx, items)
}

// dates is a sink that keeps the newest time.
type dates struct{ now, newest time.Time }

// Add implements Sink.
func (d *dates) Add(e tree.Entry, _ io.Reader) error {
	if t := time.Unix(e.MTime, 0); t.After(d.newest) && !t.After(d.now) {
		d.newest = t
	}
	return nil
}

// Items implements distro.Family.
func (f *Family) Items(_ context.Context, _ *machine.Definition, packages []plan.Package) ([]fetch.Item, error) {
	items := make([]fetch.Item, len(packages))
	for i, p := range packages {
		from := p.URL
		if from == "" {
			from = "file://" + (&url.URL{Path: p.File}).EscapedPath()
		}
		items[i] = fetch.Item{Name: shown(p), Size: p.Size, SHA256: p.SHA256, URLs: []string{from}}
	}
	return items, nil
}

// Fetcher implements distro.Family.
func (f *Family) Fetcher(*machine.Definition) (*fetch.Fetcher, error) {
	client, err := fetch.NewClient(fetch.Transport{})
	if err != nil {
		return nil, err
	}
	return &fetch.Fetcher{Client: client}, nil
}

// Sources implements distro.Family: the archive's own are left as they are.
func (f *Family) Sources(*machine.Definition) (map[string]string, error) { return nil, nil }

// Older implements distro.Family: archives have no order.
func (f *Family) Older(string, string) bool { return false }

// Installed implements distro.Family: what is in the archive is known to the
// family of its packages, if there is one here.
func (f *Family) Installed(func(path string) ([]byte, error)) ([]distro.Installed, error) {
	return nil, nil
}

// Query implements distro.Family.
func (f *Family) Query() []string { return []string{"true"} }

// Answer implements distro.Family.
func (f *Family) Answer([]byte) ([]distro.Installed, error) { return nil, nil }

// Unpack implements distro.Family.
func (f *Family) Unpack(ctx context.Context, s *store.Store, p plan.Package, path string) error {
	return ToPack(ctx, s, path, p.SHA256)
}
