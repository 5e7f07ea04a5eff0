package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// States of a grant, in their order.
const (
	Granted  = "granted"  // given, not used
	InUse    = "in use"   // an installer was let start; what became of it is not known
	Consumed = "consumed" // evidence was received that it was used
	Expired  = "expired"  // its time ran out, or somebody took it back
)

// WhatInstall is what a grant allows: to have its disk written.
const WhatInstall = "install"

// Errors of grants.
var (
	ErrNoGrant    = errors.New("the machine has no grant")
	ErrWrongGrant = errors.New("the grant is another one")
)

// Grant lets a machine do one dangerous thing once: have its disk written.
//
// It ends by evidence only: a report of the machine, or the grant's ID found on
// its disk. A grant in use whose report got lost stays in use: the installer
// must then look at the disk before it writes, and a machine is never granted
// anything again by itself.
type Grant struct {
	ID       string    `json:"id"` // unguessable; the installer leaves it on the disk
	Machine  string    `json:"machine"`
	What     string    `json:"what"` // install
	State    string    `json:"state"`
	By       string    `json:"by,omitempty"` // who gave it, and why
	Given    time.Time `json:"given"`
	Expires  time.Time `json:"expires,omitzero"`
	Used     time.Time `json:"used,omitzero"`    // first use
	Client   string    `json:"client,omitempty"` // hardware address of the first use
	Attempts int       `json:"attempts,omitempty"`
	Ended    time.Time `json:"ended,omitzero"`
	Evidence string    `json:"evidence,omitempty"` // report, disk, or why it expired
	// OnlyEmpty: nobody asked for it (the first installation, a recovery), so it
	// covers a disk alone that holds nothing known.
	OnlyEmpty bool `json:"only_empty,omitempty"`
}

// NewGrant makes a grant; ChangeGrant keeps it.
func NewGrant(machine, what, by string, now time.Time) *Grant {
	return &Grant{ID: newID(), Machine: machine, What: what, State: Granted, By: by, Given: now.UTC()}
}

// Open tells whether the grant still allows something.
func (g *Grant) Open(now time.Time) bool {
	return g != nil && g.open() && !(g.State == Granted && !g.Expires.IsZero() && now.After(g.Expires))
}

// Begin takes the grant into use; first is true once in its life.
func (g *Grant) Begin(client string, now time.Time) (first bool) {
	first = g.State == Granted
	g.State = InUse
	g.Attempts++
	if first {
		g.Used, g.Client = now.UTC(), client
	}
	return first
}

// Consume ends an open grant by evidence.
func (g *Grant) Consume(evidence string, now time.Time) {
	if g.open() {
		g.State, g.Ended, g.Evidence = Consumed, now.UTC(), evidence
	}
}

// Give gives a machine a new grant; one that was still open ends. A zero ttl
// never expires.
func (f *Fleet) Give(ctx context.Context, machine, what, by string, ttl time.Duration) (Grant, error) {
	now := f.now()
	g := NewGrant(machine, what, by, now)
	if ttl > 0 {
		g.Expires = now.Add(ttl)
	}
	return f.ChangeGrant(ctx, machine, func(*Grant) (*Grant, error) { return g, nil })
}

// Grant returns the machine's latest grant, in whatever state, or ErrNoGrant.
func (f *Fleet) Grant(ctx context.Context, machine string) (Grant, error) {
	r, err := f.store.Get(ctx, tableGrants, machine)
	if errors.Is(err, ErrNotFound) {
		return Grant{}, ErrNoGrant
	}
	if err != nil {
		return Grant{}, fmt.Errorf("reading the grant of %s: %w", machine, err)
	}
	var g Grant
	if err := json.Unmarshal(r.Value, &g); err != nil {
		return Grant{}, fmt.Errorf("reading the grant of %s: %w", machine, err)
	}
	if g.open() && !g.Open(f.now()) {
		g.State = Expired // written when it is next touched
	}
	return g, nil
}

func (g *Grant) open() bool { return g.State == Granted || g.State == InUse }

// Use takes the grant into use and is durable when it returns. first is true
// once in a grant's life; later uses (the machine came again, and nothing is
// known of the first) return first == false: then look at the disk before
// writing, and write only if it does not hold the grant's ID as finished.
// Without an open grant the error is ErrNoGrant.
func (f *Fleet) Use(ctx context.Context, machine, client string) (g Grant, first bool, err error) {
	g, err = f.ChangeGrant(ctx, machine, func(old *Grant) (*Grant, error) {
		if old == nil || !old.open() {
			return nil, ErrNoGrant
		}
		n := *old
		if !n.Open(f.now()) {
			n.State, n.Ended, n.Evidence = Expired, f.now(), "not used in time"
			return &n, nil
		}
		first = n.Begin(client, f.now())
		return &n, nil
	})
	if err == nil && g.State == Expired {
		return g, false, fmt.Errorf("%w: it expired at %s", ErrNoGrant, g.Expires.Format(time.RFC3339))
	}
	return g, first, err
}

// Consume ends the grant with that ID by evidence. It may be called again.
func (f *Fleet) Consume(ctx context.Context, machine, id, evidence string) error {
	return f.endGrant(ctx, machine, id, Consumed, evidence)
}

// Revoke takes an open grant back.
func (f *Fleet) Revoke(ctx context.Context, machine, id, why string) error {
	return f.endGrant(ctx, machine, id, Expired, why)
}

func (f *Fleet) endGrant(ctx context.Context, machine, id, state, evidence string) error {
	_, err := f.ChangeGrant(ctx, machine, func(old *Grant) (*Grant, error) {
		switch {
		case old == nil:
			return nil, ErrNoGrant
		case old.ID != id:
			return nil, ErrWrongGrant
		case !old.open() && old.State == state, old.State == Consumed:
			return nil, nil
		}
		n := *old
		n.State, n.Ended, n.Evidence = state, f.now(), evidence
		return &n, nil
	})
	return err
}

// ChangeGrant makes one change of the machine's latest grant (nil: it never had
// one), all or nothing: change gives what takes its place, or nil to leave it,
// and may be called again when somebody else was faster. The event goes first and is durable
// before the record is: what is known to be over is never open again, even if
// the file of the records was cut off (see repairGrants).
func (f *Fleet) ChangeGrant(ctx context.Context, machine string, change func(*Grant) (*Grant, error)) (Grant, error) {
	for range 16 {
		r, err := f.store.Get(ctx, tableGrants, machine)
		rev := int64(r.Rev)
		var old *Grant
		switch {
		case errors.Is(err, ErrNotFound):
			rev = Absent
		case err != nil:
			return Grant{}, fmt.Errorf("reading the grant of %s: %w", machine, err)
		default:
			old = new(Grant)
			if err := json.Unmarshal(r.Value, old); err != nil {
				return Grant{}, fmt.Errorf("reading the grant of %s: %w", machine, err)
			}
		}
		next, err := change(old)
		if err != nil {
			return Grant{}, err
		}
		if next == nil {
			if old == nil {
				return Grant{}, nil
			}
			return *old, nil
		}
		event := f.grantEvent(*next)
		if !next.open() {
			if err := f.store.Append(ctx, event); err != nil {
				return Grant{}, fmt.Errorf("writing that the grant of %s is %s: %w", machine, next.State, err)
			}
		}
		value, err := json.Marshal(next)
		if err != nil {
			return Grant{}, err
		}
		_, err = f.store.Write(ctx, Write{tableGrants, machine, value, rev})
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Grant{}, fmt.Errorf("writing the grant of %s: %w", machine, err)
		}
		if next.open() {
			f.Record(event)
		} else {
			f.see(event)
		}
		return *next, nil
	}
	return Grant{}, fmt.Errorf("writing the grant of %s: %w again and again", machine, ErrConflict)
}

func (f *Fleet) grantEvent(g Grant) Event {
	text := fmt.Sprintf("grant to %s: %s", g.What, g.State)
	if g.Evidence != "" {
		text += " (" + g.Evidence + ")"
	}
	return Event{Time: f.now(), Machine: g.Machine, Kind: KindGrant, Text: text,
		Fields: map[string]string{"id": g.ID, "state": g.State, "what": g.What}}
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
