package token

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
)

var (
	mine   = netip.MustParseAddr("10.0.0.5")
	others = netip.MustParseAddr("10.0.0.6")
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// kept is a keeper in memory.
type kept struct {
	mu   sync.Mutex
	all  map[string][]byte
	fail error
}

func (k *kept) Put(_ context.Context, key string, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail == nil {
		k.all[key] = value
	}
	return k.fail
}

func (k *kept) Delete(_ context.Context, key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, key)
	return nil
}

func (k *kept) Each(_ context.Context, do func(string, []byte) error) error {
	k.mu.Lock()
	all := maps.Clone(k.all)
	k.mu.Unlock()
	for key, value := range all {
		if err := do(key, value); err != nil {
			return err
		}
	}
	return nil
}

func open(t *testing.T, k Keeper) (*Book, *clock, *[]fleet.Event) {
	t.Helper()
	b, err := Open(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Now()}
	var told []fleet.Event
	b.Now = c.Now
	b.Sink = fleet.SinkFunc(func(e fleet.Event) { told = append(told, e) })
	return b, c, &told
}

func TestWhoGetsWhat(t *testing.T) {
	b, clock, told := open(t, nil)
	claim := Claim{Client: "52:54:00:00:00:01", Machine: "node1", Address: mine, Xid: 7}
	tok := b.Mint(claim)
	if !Looks(tok) || tok == b.Mint(claim) {
		t.Fatalf("minted %q", tok)
	}
	for range 3 {
		if c, err := b.Use(strings.ToUpper(tok), mine); err != nil || c.Machine != "node1" || c.Xid != 7 {
			t.Fatalf("its own: %+v, %v", c, err)
		}
	}
	if len(*told) != 0 {
		t.Errorf("told %+v", *told)
	}
	for name, c := range map[string]struct {
		tok  string
		from netip.Addr
		err  error
	}{
		"another address": {tok, others, ErrAddress},
		"a wrong one":     {"a" + tok[1:25] + "7", mine, ErrUnknown},
		"half of it":      {tok[:13], mine, ErrUnknown},
		"none":            {"", mine, ErrUnknown},
	} {
		*told = nil
		if c, err := b.Use(c.tok, c.from); err == nil || c.Machine != "" {
			t.Errorf("%s was served: %+v", name, c)
		}
		if _, err := b.Use(c.tok, c.from); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Spend(c.tok, "ks", c.from, ""); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if len(*told) != 3 || (*told)[0].Problem == "" || (*told)[0].Address != c.from.String() {
			t.Errorf("%s: told %+v", name, *told)
		}
		if c.err == ErrAddress && (*told)[0].Machine != "node1" {
			t.Errorf("%s: the machine is not named: %+v", name, *told)
		}
	}
	if err := b.Check(claim, mine, "52:54:00:00:00:02"); !errors.Is(err, ErrClient) {
		t.Errorf("says to be another machine: %v", err)
	}
	clock.now = clock.now.Add(b.Life)
	if _, err := b.Use(tok, mine); !errors.Is(err, ErrExpired) {
		t.Errorf("too late: %v", err)
	}
}

func TestSecretsAreGivenOnce(t *testing.T) {
	b, _, _ := open(t, nil)
	tok := b.Mint(Claim{Machine: "node1", Address: mine})
	first, err := b.Spend(tok, "preseed", mine, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Spend(tok, "preseed", mine, ""); !errors.Is(err, ErrBusy) {
		t.Errorf("twice at once: %v", err)
	}
	first.Returned()
	again, err := b.Spend(tok, "preseed", mine, "")
	if err != nil {
		t.Fatalf("after it broke off: %v", err)
	}
	if err := again.Given(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.Returned()
	if _, err := b.Spend(tok, "preseed", mine, ""); !errors.Is(err, ErrSpent) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := b.Spend(tok, "another", mine, ""); err != nil {
		t.Errorf("another secret: %v", err)
	}
	if _, err := b.Use(tok, mine); err != nil {
		t.Errorf("scripts: %v", err)
	}
}

func TestOnlyOneOfManyGetsASecret(t *testing.T) {
	b, _, _ := open(t, nil)
	b.Sink = fleet.SinkFunc(func(fleet.Event) {})
	tok := b.Mint(Claim{Address: mine})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 50 {
		wg.Go(func() {
			r, err := b.Spend(tok, "ks", mine, "")
			if err != nil {
				return
			}
			mu.Lock()
			got++
			mu.Unlock()
			r.Given(context.Background())
		})
	}
	wg.Wait()
	if got != 1 {
		t.Errorf("%d got it", got)
	}
}

func TestCertificates(t *testing.T) {
	b, _, _ := open(t, nil)
	tok := b.Mint(Claim{Machine: "node1", Address: mine, Certificate: true})
	for _, identity := range []string{"", "node2"} {
		if _, err := b.Spend(tok, "ks", mine, identity); !errors.Is(err, ErrCertificate) {
			t.Errorf("identity %q: %v", identity, err)
		}
	}
	if _, err := b.Spend(tok, "ks", mine, "node1"); err != nil {
		t.Error(err)
	}
}

// TestProxy: beside a foreign DHCP server the address is not known when the
// token is made; the first who comes has it.
func TestProxy(t *testing.T) {
	b, _, _ := open(t, nil)
	tok := b.Mint(Claim{Client: "52:54:00:00:00:01"})
	if _, err := b.Use(tok, mine); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Use(tok, others); !errors.Is(err, ErrAddress) {
		t.Errorf("a second address: %v", err)
	}
}

func TestRestart(t *testing.T) {
	for name, keeper := range map[string]Keeper{"memory": &kept{all: map[string][]byte{}}, "fleet": InStore(fleet.NewMemory(fleet.Limits{}))} {
		b, _, _ := open(t, keeper)
		tok := b.Mint(Claim{Client: "c", Machine: "node1", Address: mine})
		gone := b.Mint(Claim{Client: "d", Address: mine})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		r, err := b.Spend(tok, "ks", mine, "")
		if err != nil || r.Given(t.Context()) != nil {
			t.Fatal(err)
		}
		b.Revoke("d")
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		again, _, _ := open(t, keeper)
		if _, err := again.Use(tok, mine); err != nil {
			t.Errorf("%s: after a restart: %v", name, err)
		}
		if _, err := again.Spend(tok, "ks", mine, ""); !errors.Is(err, ErrSpent) {
			t.Errorf("%s: a secret twice, with a restart between: %v", name, err)
		}
		if _, err := again.Use(gone, mine); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: revoked: %v", name, err)
		}
		if k, ok := keeper.(*kept); ok {
			for key, value := range k.all {
				if strings.Contains(key+string(value), tok) {
					t.Error("the token itself is kept")
				}
			}
		}
	}
}

func TestAKeeperThatFailsGivesNothingTwice(t *testing.T) {
	k := &kept{all: map[string][]byte{}}
	b, _, _ := open(t, k)
	tok := b.Mint(Claim{Address: mine})
	r, err := b.Spend(tok, "ks", mine, "")
	if err != nil {
		t.Fatal(err)
	}
	k.fail = errors.New("disk full")
	if err := r.Given(t.Context()); !errors.Is(err, k.fail) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Spend(tok, "ks", mine, ""); !errors.Is(err, ErrSpent) {
		t.Errorf("a second time: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b, clock, _ := open(t, nil)
	b.Limit = 1000
	var last string
	for i := range 5000 {
		clock.now = clock.now.Add(time.Millisecond)
		last = b.Mint(Claim{Client: string(rune('a' + i%26)), Address: mine})
		if i > 3000 {
			b.Mint(Claim{Client: netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}).String(), Address: mine})
		}
	}
	if n := len(b.leaves); n > 1001 {
		t.Errorf("%d tokens", n)
	}
	if n := len(b.owners["a"]); n > b.PerClient {
		t.Errorf("%d tokens of one client", n)
	}
	if _, err := b.Use(last, mine); err != nil {
		t.Errorf("the newest: %v", err)
	}
	for id := range b.owners {
		if len(b.owners[id]) == 0 {
			t.Errorf("an empty list of %s", id)
		}
	}
}

// A disk that takes nothing ends no server: tokens are good, and are kept when
// there is room again.
func TestAKeeperThatFailsForAWhile(t *testing.T) {
	k := &kept{all: map[string][]byte{}, fail: errors.New("disk full")}
	b, _, _ := open(t, k)
	told := make(chan fleet.Event, 8)
	b.Sink = fleet.SinkFunc(func(e fleet.Event) { told <- e })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	tok := b.Mint(Claim{Client: "c", Address: mine})
	select {
	case e := <-told:
		if !strings.Contains(e.Problem, "disk full") {
			t.Errorf("it tells %+v", e)
		}
	case err := <-done:
		t.Fatalf("the server ends: %v", err)
	}
	if _, err := b.Use(tok, mine); err != nil {
		t.Errorf("a token that is not kept yet: %v", err)
	}
	k.mu.Lock()
	k.fail = nil
	k.mu.Unlock()
	cancel() // what is still to be written is written at the end
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	again, _, _ := open(t, k)
	if _, err := again.Use(tok, mine); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}
