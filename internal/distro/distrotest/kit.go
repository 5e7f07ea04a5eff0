// Package distrotest is what every family must do, whatever its packages are:
// a new family's test makes a small archive with its own tools and calls Run.
// It is for tests only.
package distrotest

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// Setup is a family and an archive that has, in its own terms, the package
// "one" in the versions 1 and 2, which depends on "two".
type Setup struct {
	Family func(*store.Store) distro.Family
	// Definition asks for these packages of the archive, with init: none.
	Definition func(t testing.TB, packages ...string) *machine.Definition
	Old        string // how the definition asks for version 1 of "one"
	Versions   [2]string
}

// Run judges a family.
func Run(t *testing.T, s Setup) {
	s.name(t)
	lock := s.choice(t)
	s.supply(t, lock)
	s.offline(t)
	s.prior(t)
	s.refusals(t)
	s.silence(t)
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s Setup) request(t testing.TB, packages ...string) distro.Request {
	return distro.Request{Definition: s.Definition(t, packages...), Class: plan.Plain}
}

func (s Setup) choose(t testing.TB, f distro.Family, r distro.Request) *plan.Lock {
	t.Helper()
	c, err := f.Choose(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	c.Lock.Request = map[plan.Class]string{r.Class: "x"}
	return c.Lock
}

// name: the store must know the family's packages by it.
func (s Setup) name(t *testing.T) {
	st := newStore(t)
	if path := st.ObjectPath(s.Family(st).Name(), strings.Repeat("ab", 32)); filepath.Dir(path) == st.Dir() {
		t.Errorf("packages lie in %s", path)
	}
}

// choice: the same request has one answer, which a lock can hold.
func (s Setup) choice(t *testing.T) *plan.Lock {
	t.Helper()
	st := newStore(t)
	f, r := s.Family(st), s.request(t, "one")
	a, b := s.choose(t, f, r), s.choose(t, s.Family(st), r)
	if !bytes.Equal(a.Encode(), b.Encode()) {
		t.Errorf("two choices differ:\n%s\n%s", a.Encode(), b.Encode())
	}
	if _, err := plan.DecodeLock("the lock", a.Encode()); err != nil {
		t.Errorf("the lock does not read back: %v", err)
	}
	base, rest, err := a.Select(plan.Plain)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, p := range append(base, rest...) {
		if _, twice := at[p.Name]; twice {
			t.Errorf("%s is there twice", p.Name)
		}
		at[p.Name] = i + 1
		if asked := p.Name == "one"; asked == p.Auto && p.Why != "base" {
			t.Errorf("%s: auto is %v", p.Name, p.Auto)
		}
	}
	if at["two"] == 0 || at["one"] == 0 {
		t.Fatalf("the choice lacks one or two: %s", a.Encode())
	}
	if p := find(a, "one"); p.Version != s.Versions[1] || p.Why != "definition" {
		t.Errorf("one is %+v", p)
	}
	if p := find(a, "two"); !strings.HasPrefix(p.Why, "one:") {
		t.Errorf("two is there because of %q", p.Why)
	}
	if print, err := f.Fingerprint(t.Context(), r); err != nil || print == "" {
		t.Errorf("after a choice the fingerprint is %q, %v", print, err)
	}
	if !f.Older(s.Versions[0], s.Versions[1]) || f.Older(s.Versions[1], s.Versions[0]) || f.Older(s.Versions[0], s.Versions[0]) {
		t.Error("versions are not in order")
	}
	return a
}

func find(l *plan.Lock, name string) plan.Package {
	i := slices.IndexFunc(l.Packages, func(p plan.Package) bool { return p.Name == name })
	if i < 0 {
		return plan.Package{}
	}
	return l.Packages[i]
}

// supply: what a lock pins can be fetched and unpacked, and nothing else in its
// place.
func (s Setup) supply(t *testing.T, lock *plan.Lock) {
	t.Helper()
	st := newStore(t)
	f, d := s.Family(st), s.Definition(t, "one")
	items, err := f.Items(t.Context(), d, lock.Packages)
	if err != nil || len(items) != len(lock.Packages) {
		t.Fatalf("%d items for %d packages, %v", len(items), len(lock.Packages), err)
	}
	for i := range items {
		if items[i].SHA256 != lock.Packages[i].SHA256 || items[i].Size != lock.Packages[i].Size {
			t.Errorf("%s: the item is another file than the lock's", lock.Packages[i].Name)
		}
		items[i].Dest = st.ObjectPath(f.Name(), items[i].SHA256)
	}
	fetcher, err := f.Fetcher(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := fetcher.Fetch(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	for i, p := range lock.Packages {
		if err := f.Unpack(t.Context(), st, p, items[i].Dest); err != nil || !st.HasPack(p.SHA256) {
			t.Errorf("unpacking %s: %v", p.Name, err)
		}
	}
	one, two := find(lock, "one"), find(lock, "two")
	swapped := one
	swapped.SHA256 = strings.Repeat("cd", 32)
	if err := f.Unpack(t.Context(), st, swapped, st.ObjectPath(f.Name(), two.SHA256)); err == nil || st.HasPack(swapped.SHA256) {
		t.Errorf("two was unpacked as one: %v", err)
	}
}

// offline: what was seen once needs no network, and nothing else works.
func (s Setup) offline(t *testing.T) {
	t.Helper()
	st := newStore(t)
	r := s.request(t, "one")
	r.Offline = true
	if _, err := s.Family(st).Choose(t.Context(), r); err == nil || !strings.Contains(err.Error(), "network") {
		t.Errorf("an empty store and no network: %v", err)
	}
	r.Offline = false
	first := s.choose(t, s.Family(st), r)
	r.Offline = true
	if again := s.choose(t, s.Family(st), r); !bytes.Equal(first.Encode(), again.Encode()) {
		t.Error("without the network another choice was made")
	}
}

// prior: a lock's versions win over newer ones.
func (s Setup) prior(t *testing.T) {
	t.Helper()
	f := s.Family(newStore(t))
	old := s.choose(t, f, s.request(t, s.Old))
	if p := find(old, "one"); p.Version != s.Versions[0] {
		t.Fatalf("%s gave %s", s.Old, p.Version)
	}
	r := s.request(t, "one")
	r.Prior = old
	if p := find(s.choose(t, f, r), "one"); p.Version != s.Versions[0] {
		t.Errorf("the lock has %s, chosen was %s", s.Versions[0], p.Version)
	}
}

// refusals name the definition and what is wrong.
func (s Setup) refusals(t *testing.T) {
	t.Helper()
	f := s.Family(newStore(t))
	for _, bad := range []string{"no-such-package", "one=99"} {
		d := s.Definition(t, bad)
		_, err := f.Choose(t.Context(), distro.Request{Definition: d, Class: plan.Plain})
		name, _, _ := strings.Cut(bad, "=")
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), filepath.Base(d.File)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// silence: a definition without an init implies nothing, a tree without a
// database has no packages, and what the machine is told is always the same.
func (s Setup) silence(t *testing.T) {
	t.Helper()
	f, d := s.Family(newStore(t)), s.Definition(t, "one")
	for _, class := range []plan.Class{plan.Plain, plan.Container, plan.Bootable} {
		if list := f.Implied(d, class); len(list) != 0 {
			t.Errorf("init: none implies %v", list)
		}
	}
	none := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	if list, err := f.Installed(none); err != nil || len(list) != 0 {
		t.Errorf("no database gave %v, %v", list, err)
	}
	broken := errors.New("broken")
	if _, err := f.Installed(func(string) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("an unreadable database gave %v", err)
	}
	if len(f.Query()) == 0 {
		t.Error("there is no query of a running machine")
	}
	a, errA := f.Sources(d)
	b, errB := f.Sources(d)
	if errA != nil || errB != nil || len(a) == 0 || len(a) != len(b) {
		t.Fatalf("sources: %v, %v", errA, errB)
	}
	for name, text := range a {
		if b[name] != text || strings.HasPrefix(name, "/") {
			t.Errorf("the file %s is another each time", name)
		}
	}
}
