package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/internal/distro"
	"slipway/internal/fetch"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/trace"
)

// tree finds a set's tree in the store, or makes it.
func (t *Tools) tree(ctx context.Context, s *Set) (key, root string, err error) {
	if key, root, ok := t.kept(s); ok && !t.d.Refresh && t.unchanged(key) {
		return key, root, nil
	}
	if t.d.Store.ReadOnly() {
		return "", "", s.explain(t, fmt.Errorf("%w: %s", store.ErrReadOnly, t.d.Store.Dir()))
	}
	unlock, err := t.d.Store.Lock("tools-"+s.Name, true)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if key, root, ok := t.kept(s); ok && !t.d.Refresh && t.sound(ctx, s, key) {
		return key, root, nil // or another slipway made it while we waited
	}
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	defer trace.Region("tools " + s.Name)()
	c := t.remembered(s)
	if c == nil || t.d.Refresh {
		if c, err = t.choose(ctx, s); err != nil {
			return "", "", err
		}
	}
	root, ok := t.d.Store.ToolTree(c.Key)
	if !ok || !t.sound(ctx, s, c.Key) {
		if err := t.unpack(ctx, s, c); err != nil {
			return "", "", err
		}
	}
	t.vouch(c.Key)
	// The choice is remembered last: what it names is there.
	data, err := json.Marshal(c)
	if err == nil {
		err = t.d.Store.PutToolChoice(s.choiceName(t.d.Arch), data)
	}
	return c.Key, root, err
}

// kept is the tree of the remembered choice.
func (t *Tools) kept(s *Set) (key, root string, ok bool) {
	c := t.remembered(s)
	if c == nil {
		return "", "", false
	}
	root, ok = t.d.Store.ToolTree(c.Key)
	return c.Key, root, ok
}

// unpack fetches a choice's packages and makes their tree.
func (t *Tools) unpack(ctx context.Context, s *Set, c *choice) error {
	packages := c.packages()
	if err := t.fetch(ctx, s, packages); err != nil {
		return s.explain(t, err)
	}
	stage, err := t.d.Store.TempDir("tool")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage) // gone after it is kept
	step := t.d.Progress.Step("unpack " + s.Name)
	list, err := t.fill(ctx, s, stage, packages)
	if err == nil {
		err = t.d.Store.CommitToolTree(c.Key, stage, map[string][]byte{contentsFile: list.encode()})
	}
	step.Done(err)
	if err == nil {
		t.d.Store.Log("tools", map[string]any{"set": s.Name, "key": c.Key, "packages": len(packages)})
	}
	return err
}

// fetch brings the packages that are not in the store.
func (t *Tools) fetch(ctx context.Context, s *Set, packages []plan.Package) error {
	absent := t.absent(packages)
	if len(absent) == 0 {
		return nil
	}
	if t.d.Offline {
		return fmt.Errorf("--offline: %d packages are not in the store, the first is %s", len(absent), absent[0].ID())
	}
	d := s.definition(t.d.Arch)
	items, err := t.d.Family.Items(ctx, d, absent)
	if err != nil {
		return err
	}
	fetcher, err := t.d.Family.Fetcher(d)
	if err != nil {
		return err
	}
	step := t.d.Progress.Step(fmt.Sprintf("fetch %s, %d packages", s.Name, len(absent)))
	var total, had int64
	for i := range items {
		items[i].Dest = t.d.Store.ObjectPath("deb", items[i].SHA256)
		total += items[i].Size
	}
	step.Total(total)
	fetcher.Progress = func(e fetch.Event) {
		step.Add(e.Bytes - had)
		had = e.Bytes
		if e.Kind == fetch.Retrying {
			step.Note(fmt.Sprintf("%s: %v; trying again", e.Item, e.Err))
		}
	}
	err = fetcher.Fetch(ctx, items)
	step.Done(err)
	return err
}

// absent are the packages whose files the store does not hold, each once. A
// damaged file is absent.
func (t *Tools) absent(packages []plan.Package) []plan.Package {
	var out []plan.Package
	met := map[string]bool{}
	for _, p := range packages {
		if met[p.SHA256] {
			continue
		}
		met[p.SHA256] = true
		if !t.d.Store.HasObject("deb", p.SHA256) || t.d.Store.VerifyObject("deb", p.SHA256) != nil {
			out = append(out, p)
		}
	}
	return out
}

// unpackers is how many packages are decompressed at once.
const unpackers = 2

// fill writes all packages into a folder. Packs made for it alone are removed
// again: a tree is made once.
func (t *Tools) fill(ctx context.Context, s *Set, stage string, packages []plan.Package) (contents, error) {
	w, err := newWriter(stage, s.Drop)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(unpackers)
	for _, p := range packages {
		group.Go(func() error {
			pack, fresh, err := t.pack(ctx, p)
			if err != nil {
				return fmt.Errorf("unpacking %s: %w", p.ID(), err)
			}
			defer pack.Close()
			if fresh {
				defer t.d.Store.RemovePack(p.SHA256)
			}
			mu.Lock() // the folder's part is quick, and its order of no matter
			defer mu.Unlock()
			if err := w.add(pack); err != nil {
				return fmt.Errorf("unpacking %s: %w", p.ID(), err)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return w.list, w.finish()
}

// pack opens a package's pack, which it makes if need be.
func (t *Tools) pack(ctx context.Context, p plan.Package) (pack *store.Pack, fresh bool, err error) {
	pack, err = t.d.Store.OpenPack(p.SHA256)
	if err == nil {
		return pack, false, nil
	}
	var damage *store.CorruptError
	if !errors.Is(err, store.ErrNotFound) && !errors.As(err, &damage) {
		return nil, false, err
	}
	if err := unpackDeb(ctx, t.d.Family, t.d.Store, p); err != nil {
		return nil, false, err
	}
	if pack, err = t.d.Store.OpenPack(p.SHA256); err != nil {
		return nil, false, err
	}
	pack.Trust() // this very run wrote it
	return pack, true, nil
}

func unpackDeb(ctx context.Context, f distro.Family, s *store.Store, p plan.Package) error {
	return f.Unpack(ctx, s, p, s.ObjectPath("deb", p.SHA256))
}
