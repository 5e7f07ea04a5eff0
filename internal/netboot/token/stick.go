package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// OnlyStick is the token of a boot stick: no DHCP exchange made it, and who has
// the stick is its machine, from whatever address, until it is revoked. It is
// good for what a machine's program asks, and may fetch secrets again.
const OnlyStick = "stick"

// Stick is a boot stick that somebody made.
type Stick struct {
	ID      string     `json:"id"` // part of the hash of its token
	Machine string     `json:"machine"`
	Made    time.Time  `json:"made"`
	Used    time.Time  `json:"used,omitzero"`    // the last time, in steps of an hour
	Address netip.Addr `json:"address,omitzero"` // that it was used from
}

// ErrNoStick is an ID that none has.
var ErrNoStick = errors.New("there is no such stick")

// stickID is how much of the hash names a stick.
const stickID = 12

// MintStick makes the token of a stick. It is durable when it returns.
func (b *Book) MintStick(ctx context.Context, machine string) (Stick, string, error) {
	word := mint()
	id, _ := identify(word)
	b.mu.Lock()
	l := &leaf{Claim: Claim{Machine: machine, Only: OnlyStick, Issued: b.Now().UTC()}}
	value, err := json.Marshal(l)
	b.mu.Unlock()
	if err == nil && b.keeper != nil {
		err = b.keeper.Put(ctx, id, value)
	}
	if err != nil {
		return Stick{}, "", fmt.Errorf("keeping the token of a stick: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaves[id] = l
	return stickOf(id, l), word, nil
}

// Sticks lists those that are good, the oldest first.
func (b *Book) Sticks() []Stick {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Stick{}
	for id, l := range b.leaves {
		if l.Claim.Only == OnlyStick {
			out = append(out, stickOf(id, l))
		}
	}
	slices.SortFunc(out, func(x, y Stick) int { return x.Made.Compare(y.Made) })
	return out
}

func stickOf(id string, l *leaf) Stick {
	return Stick{ID: id[:stickID], Machine: l.Claim.Machine, Made: l.Claim.Issued, Used: l.Used, Address: l.Claim.Address}
}

// RevokeStick ends a stick's token. It is durable when it returns.
func (b *Book) RevokeStick(ctx context.Context, id string) error {
	b.mu.Lock()
	full := ""
	for one, l := range b.leaves {
		if l.Claim.Only == OnlyStick && len(id) == stickID && one[:stickID] == id {
			full = one
		}
	}
	delete(b.leaves, full)
	b.mu.Unlock()
	if full == "" {
		return fmt.Errorf("%q: %w", id, ErrNoStick)
	}
	if b.keeper == nil {
		return nil
	}
	if err := b.keeper.Delete(ctx, full); err != nil {
		return fmt.Errorf("revoking the stick %s: %w", id, err)
	}
	return nil
}

// stickUsed notes that a stick was used; b.mu is held.
func (b *Book) stickUsed(id string, l *leaf, from netip.Addr) {
	if hour := b.Now().UTC().Truncate(time.Hour); l.Used != hour || l.Claim.Address != from {
		l.Used, l.Claim.Address = hour, from
		b.write(id)
	}
}
