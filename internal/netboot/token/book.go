package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// Why a token is refused. All are answered alike, with 403.
var (
	ErrUnknown     = errors.New("the token is not one of ours")
	ErrExpired     = errors.New("the token is too old: the machine must ask for an address again")
	ErrAddress     = errors.New("the token belongs to another address")
	ErrClient      = errors.New("the token belongs to another machine")
	ErrSpent       = errors.New("this was given out already, and only once")
	ErrBusy        = errors.New("this is being given out right now")
	ErrCertificate = errors.New("this is given only to the machine's own certificate")
)

// Keeper keeps records where they survive a restart. Put of a spent secret is
// waited for, so it must be durable when it returns.
type Keeper interface {
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	// Each calls do for every record.
	Each(ctx context.Context, do func(key string, value []byte) error) error
}

// Book holds the tokens that are good. The zero value is not ready: use Open.
type Book struct {
	Life      time.Duration // of a token; 1 hour, which a slow machine needs from its address to its installer
	PerClient int           // tokens of one client at once; 8, the oldest goes
	Limit     int           // of tokens altogether; 200,000
	Sink      fleet.Sink    // told of refusals
	Now       func() time.Time

	keeper Keeper
	mu     sync.Mutex
	leaves map[string]*leaf    // by identity
	owners map[string][]string // identities of a client's tokens, oldest first
	later  []string            // identities to be written
	wake   chan struct{}
}

// leaf is one token's record.
type leaf struct {
	Claim Claim           `json:"claim"`
	Spent map[string]bool `json:"spent,omitempty"`
	Used  time.Time       `json:"used,omitzero"` // of a stick: the last time

	busy map[string]bool
}

// Open reads the records of keeper (nil: nothing is kept) and makes a book.
func Open(ctx context.Context, keeper Keeper) (*Book, error) {
	b := &Book{
		Life: time.Hour, PerClient: 8, Limit: 200_000, Now: time.Now, keeper: keeper,
		Sink: fleet.SinkFunc(func(fleet.Event) {}), leaves: map[string]*leaf{}, owners: map[string][]string{}, wake: make(chan struct{}, 1),
	}
	if keeper == nil {
		return b, nil
	}
	err := keeper.Each(ctx, func(id string, value []byte) error {
		l := &leaf{}
		if err := json.Unmarshal(value, l); err != nil {
			return fmt.Errorf("record %s: %w", id, err)
		}
		switch {
		case l.Claim.Only == OnlyStick:
			b.leaves[id] = l
		case len(b.leaves) < b.Limit && b.Now().Before(l.Claim.Expires):
			b.leaves[id] = l
			b.owners[l.Claim.Client] = append(b.owners[l.Claim.Client], id)
		}
		return nil
	})
	for _, ids := range b.owners {
		slices.SortFunc(ids, func(x, y string) int {
			return cmp.Or(b.leaves[x].Claim.Issued.Compare(b.leaves[y].Claim.Issued), cmp.Compare(x, y))
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading boot tokens: %w", err)
	}
	return b, nil
}

// Mint makes a token for one exchange. It does not wait for the keeper: a
// token that a crash loses costs the machine another boot.
func (b *Book) Mint(c Claim) string {
	t := mint()
	id, _ := identify(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	c.Issued = b.Now()
	if c.Expires.IsZero() {
		c.Expires = c.Issued.Add(b.Life)
	}
	c.Fields = maps.Clone(c.Fields)
	b.leaves[id] = &leaf{Claim: c}
	b.owners[c.Client] = append(b.owners[c.Client], id)
	for len(b.owners[c.Client]) > b.PerClient {
		b.drop(b.owners[c.Client][0])
	}
	if len(b.leaves) > b.Limit {
		b.sweep()
	}
	b.write(id)
	return t
}

// Use says what a token stands for, for something that may be fetched often.
func (b *Book) Use(token string, from netip.Addr) (Claim, error) {
	id, ok := identify(token)
	b.mu.Lock()
	l, err := b.find(id, ok, from)
	var c Claim
	if l != nil {
		c = l.Claim
	}
	b.mu.Unlock()
	if err != nil {
		b.refuse(c, from, err)
		return Claim{}, err
	}
	return c, nil
}

// find looks a token up and checks whom it belongs to; b.mu is held. It finds
// also what it refuses, for the event.
func (b *Book) find(id string, ok bool, from netip.Addr) (*leaf, error) {
	l := b.leaves[id]
	from = from.Unmap()
	switch {
	case !ok || l == nil:
		return nil, ErrUnknown
	case l.Claim.Only == OnlyStick:
		b.stickUsed(id, l, from)
	case !b.Now().Before(l.Claim.Expires):
		return l, ErrExpired
	case !l.Claim.Address.IsValid():
		l.Claim.Address = from
		b.write(id)
	case l.Claim.Address.Unmap() != from:
		return l, ErrAddress
	}
	return l, nil
}

// Check refuses a request that says of itself to come from another machine:
// loaders can tell their hardware address and UUID. Empty facts are not held
// against anyone.
func (b *Book) Check(c Claim, from netip.Addr, client string) error {
	if client == "" || c.Client == "" || Equal(client, c.Client) {
		return nil
	}
	b.refuse(c, from, fmt.Errorf("%w: it says to be %.40q", ErrClient, client))
	return ErrClient
}

// Receipt is the right to give out one secret once.
type Receipt struct {
	Claim Claim
	b     *Book
	id    string
	what  string
	once  sync.Once
}

// Spend reserves a secret for one transfer. The caller calls Given when the
// client acknowledged all of it, or Returned when it did not; Returned after
// Given does nothing. identity is the name in the client's certificate.
func (b *Book) Spend(token, what string, from netip.Addr, identity string) (*Receipt, error) {
	id, ok := identify(token)
	b.mu.Lock()
	l, err := b.find(id, ok, from)
	var c Claim
	if l != nil {
		c = l.Claim
	}
	switch {
	case err != nil:
	case c.Only == OnlyStick: // its holder is the machine, today and tomorrow
	case c.Certificate && (identity == "" || !Equal(identity, c.Machine)):
		err = ErrCertificate
	case l.Spent[what]:
		err = ErrSpent
	case l.busy[what]:
		err = ErrBusy
	default:
		if l.busy == nil {
			l.busy = map[string]bool{}
		}
		l.busy[what] = true
	}
	b.mu.Unlock()
	if err != nil {
		b.refuse(c, from, fmt.Errorf("%w: %s", err, what))
		return nil, err
	}
	return &Receipt{Claim: c, b: b, id: id, what: what}, nil
}

// Given notes that the client has the secret. It waits for the keeper.
func (r *Receipt) Given(ctx context.Context) (err error) {
	r.once.Do(func() {
		r.b.mu.Lock()
		var value []byte
		if l := r.b.leaves[r.id]; l != nil && l.Claim.Only != OnlyStick {
			if l.Spent == nil {
				l.Spent = map[string]bool{}
			}
			l.Spent[r.what] = true
			delete(l.busy, r.what)
			value, err = json.Marshal(l)
		}
		r.b.mu.Unlock()
		if value != nil && r.b.keeper != nil {
			err = r.b.keeper.Put(ctx, r.id, value)
		}
	})
	if err != nil {
		return fmt.Errorf("noting that %s was given out: %w", r.what, err)
	}
	return nil
}

// Returned gives the right back: the transfer broke off.
func (r *Receipt) Returned() {
	r.once.Do(func() {
		r.b.mu.Lock()
		defer r.b.mu.Unlock()
		if l := r.b.leaves[r.id]; l != nil {
			delete(l.busy, r.what)
		}
	})
}

// Revoke ends all tokens of a client, such as when its machine was proven.
func (b *Book) Revoke(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.owners[client]) > 0 {
		b.drop(b.owners[client][0])
	}
}

func (b *Book) refuse(c Claim, from netip.Addr, why error) {
	b.Sink.Record(fleet.Event{
		Time: b.Now(), Client: c.Client, Machine: c.Machine, Address: from.Unmap().String(),
		Kind: "token.refused", Problem: why.Error(),
	})
}
