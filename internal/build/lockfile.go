package build

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/machine"
	"slipway/internal/plan"
)

// LockMode says what WriteLock does with versions that are pinned already.
type LockMode int

// The modes of WriteLock.
const (
	KeepLocked LockMode = iota // resolve only what the lock does not cover
	TakeNewest                 // resolve everything anew
)

// lockClasses are the classes that a lock pins.
var lockClasses = []plan.Class{plan.Plain, plan.Container}

// WriteLock writes FILE.lock for every class, with the ids that the built
// machine has, and returns what changed.
func (b *Builder) WriteLock(ctx context.Context, d *machine.Definition, opt Options, mode LockMode) ([]plan.Change, []string, error) {
	before, err := plan.ReadLock(LockFile(d))
	if err != nil {
		return nil, nil, err
	}
	if opt.Locked {
		return nil, nil, fmt.Errorf("--locked forbids writing %s", LockFile(d))
	}
	var after *plan.Lock
	var notes []string
	for _, class := range lockClasses {
		opt.Class = class
		lock, more, err := b.lockClass(ctx, d, opt, before, mode)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range more {
			if !slices.Contains(notes, n) { // the classes have most of them in common
				notes = append(notes, n)
			}
		}
		if after == nil {
			after = lock
			continue
		}
		after.Merge(lock)
	}
	if err := b.lockIDs(ctx, d, opt, after); err != nil {
		return nil, nil, err
	}
	var old []plan.Package
	if before != nil {
		old = before.Packages
	}
	return plan.Differences(old, after.Packages), notes, plan.WriteLock(LockFile(d), after)
}

func (b *Builder) lockClass(ctx context.Context, d *machine.Definition, opt Options, before *plan.Lock, mode LockMode) (*plan.Lock, []string, error) {
	if mode == TakeNewest {
		p, err := b.prepareWith(ctx, d, opt, nil)
		if err != nil {
			return nil, nil, err
		}
		lock := *p.Lock
		if before != nil {
			lock.Users, lock.Groups = before.Users, before.Groups
		}
		return &lock, p.Notes, nil
	}
	p, err := b.prepareWith(ctx, d, opt, before)
	if err != nil {
		return nil, nil, err
	}
	lock := p.Lock.Only(opt.Class)
	// That a difference was resolved goes without saying here: it is recorded now.
	notes := slices.DeleteFunc(slices.Clone(p.Notes), func(n string) bool { return n == differenceNote(p) })
	return lock, notes, nil
}

// lockIDs builds what the lock pins and records the numbers that maintainer
// scripts chose, so that a later build never moves an id under kept data.
func (b *Builder) lockIDs(ctx context.Context, d *machine.Definition, opt Options, lock *plan.Lock) error {
	opt.Class = plan.Container
	family, err := b.family(d)
	if err != nil {
		return err
	}
	p := &Prepared{Definition: d, Class: opt.Class, Implied: family.Implied(d, opt.Class), Lock: lock}
	if p.Base, p.Rest, err = lock.Select(p.Class); err != nil {
		return err
	}
	if p.Layers, err = b.layers(p); err != nil {
		return err
	}
	if last := len(p.Layers) - 1; p.Layers[last].Kind == "secrets" {
		p.Layers = p.Layers[:last] // a lock is written without anybody's secrets
	}
	result, err := b.Make(ctx, p, opt)
	if err != nil {
		return err
	}
	users, groups, err := b.ids(result.Key)
	if err != nil {
		return fmt.Errorf("reading the ids of the built machine: %w", err)
	}
	lock.Users, lock.Groups = users, groups
	return nil
}

// Outdated lists what the archive has newer than the lock.
func (b *Builder) Outdated(ctx context.Context, d *machine.Definition, opt Options) ([]plan.Change, error) {
	lock, err := plan.ReadLock(LockFile(d))
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, fmt.Errorf("%s does not exist (write it with: slipway lock %s)", LockFile(d), d.File)
	}
	p, err := b.prepareWith(ctx, d, opt, nil)
	if err != nil {
		return nil, err
	}
	return plan.Differences(lockedPackages(lock, opt.Class), p.Packages()), nil
}
