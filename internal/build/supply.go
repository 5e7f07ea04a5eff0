package build

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"slipway/internal/distro"
	"slipway/internal/fetch"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/trace"
)

// unpackers is how many packages are decompressed at once. Decompression is
// bound by the processor, and one package may use two cores by itself.
const unpackers = 2

// supply brings the packages' contents into the store, in the order given, and
// calls ready for each as soon as it is there.
type supply struct {
	b       *Builder
	family  distro.Family
	offline bool
	fetched atomic.Int64
	reused  int
	kept    map[string]bool // files that were in the store before this run
}

// run fetches what is missing while it decompresses what has come.
func (s *supply) run(ctx context.Context, p *Prepared, packages []plan.Package, ready func(supplied) error) error {
	need, err := s.announce(packages, ready)
	if err != nil || len(need) == 0 {
		return err
	}
	fetched, absent := s.split(need)
	if s.offline && len(absent) > 0 {
		return fmt.Errorf("--offline: %d packages are not in the store, the first is %s", len(absent), absent[0].ID())
	}
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan plan.Package)
	group.Go(func() error { return s.fetch(ctx, p, absent, fetched) })
	group.Go(func() error { return hand(ctx, need, fetched, work) })
	for range unpackers {
		group.Go(func() error {
			for pkg := range work {
				if err := s.unpack(ctx, p, pkg); err != nil {
					return err
				}
				if err := ready(supplied{SHA256: pkg.SHA256, Fresh: true}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// announce tells of the packages that are unpacked in the store, and returns
// the others, each once.
func (s *supply) announce(packages []plan.Package, ready func(supplied) error) (need []plan.Package, err error) {
	met := map[string]bool{}
	for _, pkg := range packages {
		if met[pkg.SHA256] {
			continue
		}
		met[pkg.SHA256] = true
		if !s.b.Store.HasPack(pkg.SHA256) {
			need = append(need, pkg)
			continue
		}
		s.reused++
		if err := ready(supplied{SHA256: pkg.SHA256}); err != nil {
			return nil, err
		}
	}
	return need, nil
}

// split makes a channel for every package that is closed once its file is in
// the store, and lists those whose file is not there yet.
func (s *supply) split(need []plan.Package) (fetched map[string]chan struct{}, absent []plan.Package) {
	fetched, s.kept = make(map[string]chan struct{}, len(need)), map[string]bool{}
	for _, pkg := range need {
		fetched[pkg.SHA256] = make(chan struct{})
		if s.b.Store.HasObject(s.family.Name(), pkg.SHA256) {
			s.reused++
			s.kept[pkg.SHA256] = !s.b.Store.Added(s.family.Name(), pkg.SHA256)
			close(fetched[pkg.SHA256])
			continue
		}
		absent = append(absent, pkg)
	}
	return fetched, absent
}

// hand passes packages on to the unpackers in the order in which they are
// needed, each when its file is there.
func hand(ctx context.Context, need []plan.Package, fetched map[string]chan struct{}, work chan<- plan.Package) error {
	defer close(work)
	for _, pkg := range need {
		select {
		case <-fetched[pkg.SHA256]:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case work <- pkg:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *supply) fetch(ctx context.Context, p *Prepared, absent []plan.Package, done map[string]chan struct{}) error {
	if len(absent) == 0 {
		return nil
	}
	defer trace.Region("fetch")()
	items, err := s.family.Items(ctx, p.Definition, absent)
	if err != nil {
		return err
	}
	step := s.b.Progress.Step(fmt.Sprintf("fetch %d packages", len(absent)))
	var total int64
	for i := range items {
		items[i].Dest = s.b.Store.ObjectPath(s.family.Name(), items[i].SHA256)
		total += items[i].Size
	}
	step.Total(total)
	fetcher, err := s.family.Fetcher(p.Definition)
	if err != nil {
		return err
	}
	var had int64
	fetcher.Progress = func(e fetch.Event) {
		step.Add(e.Bytes - had)
		had = e.Bytes
		if e.Kind == fetch.Retrying {
			step.Note(fmt.Sprintf("%s: %v; trying again", e.Item, e.Err))
		}
	}
	fetcher.Verified = func(i int) error {
		s.fetched.Add(items[i].Size)
		close(done[items[i].SHA256])
		return nil
	}
	err = fetcher.Fetch(ctx, items)
	step.Done(err)
	return err
}

// unpack makes a pack of a package's file. One that was in the store before is
// hashed first: no byte is used that is not the right one. A damaged one is
// fetched once more, and said.
func (s *supply) unpack(ctx context.Context, p *Prepared, pkg plan.Package) error {
	defer trace.Region("decompress " + pkg.Name)()
	path := s.b.Store.ObjectPath(s.family.Name(), pkg.SHA256)
	var damage *store.CorruptError
	if s.kept[pkg.SHA256] {
		if err := s.b.Store.VerifyObject(s.family.Name(), pkg.SHA256); err != nil && !errors.As(err, &damage) {
			return err
		}
	}
	if damage == nil {
		err := s.family.Unpack(ctx, s.b.Store, pkg, path)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !errors.As(s.b.Store.VerifyObject(s.family.Name(), pkg.SHA256), &damage) {
			return fmt.Errorf("unpacking %s: %w", pkg.ID(), err)
		}
	}
	if s.offline {
		return fmt.Errorf("--offline: the stored copy of %s cannot be fetched again: %w", pkg.ID(), damage)
	}
	s.b.Progress.Note(fmt.Sprintf("the stored copy of %s is damaged; fetching it again", pkg.ID()))
	if err := s.b.Store.RemoveObject(s.family.Name(), pkg.SHA256); err != nil {
		return err
	}
	again := map[string]chan struct{}{pkg.SHA256: make(chan struct{})}
	if err := s.fetch(ctx, p, []plan.Package{pkg}, again); err != nil {
		return err
	}
	return s.family.Unpack(ctx, s.b.Store, pkg, path)
}
