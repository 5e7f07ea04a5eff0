package token

import (
	"errors"
	"testing"
	"time"
)

// A stick's token is good from everywhere, for secrets too, after years and
// after a restart, until it is revoked.
func TestStick(t *testing.T) {
	k := &kept{all: map[string][]byte{}}
	b, clock, told := open(t, k)
	s, word, err := b.MintStick(t.Context(), "node1")
	if err != nil || s.Machine != "node1" || len(k.all) != 1 {
		t.Fatalf("%+v, %v, %d records", s, err, len(k.all))
	}
	for range 50 { // whatever else is minted
		b.Mint(Claim{Client: "52:54:00:00:00:01", Machine: "node1"})
	}
	clock.now = clock.now.Add(3 * 365 * 24 * time.Hour)
	b.sweep()
	b.flush(t.Context())
	b, clock2, told2 := open(t, k)
	clock2.now = clock.now
	for range 3 {
		c, err := b.Use(word, mine)
		if err != nil || c.Machine != "node1" || c.Only != OnlyStick {
			t.Fatalf("%+v, %v", c, err)
		}
		if _, err := b.Use(word, others); err != nil {
			t.Fatalf("from another address: %v", err)
		}
		r, err := b.Spend(word, "root", mine, "")
		if err != nil {
			t.Fatalf("a secret: %v", err)
		}
		if err := r.Given(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list := b.Sticks()
	if len(list) != 1 || list[0].ID != s.ID || !list[0].Made.Equal(s.Made) || list[0].Address != mine || clock.now.Sub(list[0].Used) > time.Hour {
		t.Errorf("listed are %+v", list)
	}
	if len(*told)+len(*told2) != 0 {
		t.Errorf("something was refused: %+v", *told2)
	}
	if err := b.RevokeStick(t.Context(), "0123456789ab"); !errors.Is(err, ErrNoStick) {
		t.Errorf("revoking none: %v", err)
	}
	if err := b.RevokeStick(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Use(word, mine); !errors.Is(err, ErrUnknown) || len(*told2) != 1 {
		t.Errorf("a revoked one: %v, %d refusals are told", err, len(*told2))
	}
	b.flush(t.Context())
	if b, _, _ = open(t, k); len(b.Sticks()) != 0 {
		t.Error("after a restart a revoked stick is back")
	}
	k.fail = errors.New("disk full")
	if _, _, err := b.MintStick(t.Context(), "node1"); err == nil {
		t.Error("a stick that is not kept was given out")
	}
}
