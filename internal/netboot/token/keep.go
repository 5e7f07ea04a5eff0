package token

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"slipway/internal/fleet"
)

// drop forgets a token; b.mu is held.
func (b *Book) drop(id string) {
	l := b.leaves[id]
	if l == nil {
		return
	}
	delete(b.leaves, id)
	c := l.Claim.Client
	b.owners[c] = slices.DeleteFunc(b.owners[c], func(other string) bool { return other == id })
	if len(b.owners[c]) == 0 {
		delete(b.owners, c)
	}
	b.write(id)
}

// sweep forgets what is too old, and the oldest when that is not enough; b.mu
// is held.
func (b *Book) sweep() {
	now := b.Now()
	var left []string
	for id, l := range b.leaves {
		switch {
		case l.Claim.Only == OnlyStick:
		case now.Before(l.Claim.Expires):
			left = append(left, id)
		default:
			b.drop(id)
		}
	}
	if len(left) <= b.Limit {
		return
	}
	slices.SortFunc(left, func(x, y string) int { return b.leaves[x].Claim.Issued.Compare(b.leaves[y].Claim.Issued) })
	for _, id := range left[:len(left)-b.Limit*9/10] {
		b.drop(id)
	}
}

// write has Run bring a record to the keeper; b.mu is held.
func (b *Book) write(id string) {
	if b.keeper == nil {
		return
	}
	b.later = append(b.later, id)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// keepAgain is how soon records are written again that could not be kept.
const keepAgain = 2 * time.Second

// Run writes records and forgets old ones, until ctx ends; what is still to be
// written then is written. Without it nothing but spent secrets is kept. Where
// the disk takes nothing tokens are good all the same, until a restart.
func (b *Book) Run(ctx context.Context) error {
	hour := time.NewTicker(b.Life / 4)
	defer hour.Stop()
	var again <-chan time.Time
	for {
		select {
		case <-again:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return b.flush(last)
		case <-hour.C:
			b.mu.Lock()
			b.sweep()
			b.mu.Unlock()
		case <-b.wake:
			if again != nil {
				continue
			}
		}
		switch err := b.flush(ctx); {
		case err == nil || ctx.Err() != nil:
			again = nil
		default:
			if again == nil {
				b.Sink.Record(fleet.Event{Time: b.Now(), Kind: "server.storage", Problem: err.Error() + ": it is good until the server is restarted"})
			}
			again = time.After(keepAgain)
		}
	}
}

func (b *Book) flush(ctx context.Context) error {
	if b.keeper == nil {
		return nil
	}
	b.mu.Lock()
	ids := b.later
	b.later = nil
	b.mu.Unlock()
	for i, id := range ids {
		b.mu.Lock()
		var value []byte
		var err error
		if l := b.leaves[id]; l != nil {
			value, err = json.Marshal(l)
		}
		b.mu.Unlock()
		switch {
		case err != nil:
		case value == nil:
			err = b.keeper.Delete(ctx, id)
		default:
			err = b.keeper.Put(ctx, id, value)
		}
		if err != nil {
			b.mu.Lock()
			b.later = append(ids[i:], b.later...)
			b.later = b.later[max(0, len(b.later)-2*b.Limit):] // what is left out is too old when it is read
			b.mu.Unlock()
			return fmt.Errorf("keeping a boot token: %w", err)
		}
	}
	return nil
}
