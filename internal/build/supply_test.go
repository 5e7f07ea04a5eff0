package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/distro"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// supplier is a family whose packages lie in a folder; it remembers what bytes
// it was given to unpack.
type supplier struct {
	distro.Family
	dir      string
	unpacked []string
}

func (f *supplier) Items(_ context.Context, _ *machine.Definition, packages []plan.Package) ([]fetch.Item, error) {
	var items []fetch.Item
	for _, p := range packages {
		items = append(items, fetch.Item{Name: p.Name, URLs: []string{"file://" + f.dir + "/" + p.Name}, SHA256: p.SHA256, Size: p.Size})
	}
	return items, nil
}

func (f *supplier) Name() string { return "deb" }

func (f *supplier) Fetcher(*machine.Definition) (*fetch.Fetcher, error) { return &fetch.Fetcher{}, nil }

func (f *supplier) Unpack(_ context.Context, _ *store.Store, _ plan.Package, path string) error {
	data, err := os.ReadFile(path)
	f.unpacked = append(f.unpacked, string(data))
	return err
}

func newSupply(t *testing.T) (*supply, *supplier, plan.Package) {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &supplier{dir: t.TempDir()}
	name := filepath.Join(f.dir, "pkg")
	if err := os.WriteFile(name, []byte("good"), 0o644); err != nil {
		t.Fatal(err)
	}
	sum, err := hashFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &supply{b: &Builder{Store: s}, family: f}, f, plan.Package{Name: "pkg", Arch: "all", Version: "1", SHA256: sum, Size: 4}
}

// A file that went bad in the store is fetched again before a byte of it is used.
func TestSupplyOfDamagedFile(t *testing.T) {
	for _, offline := range []bool{false, true} {
		s, f, pkg := newSupply(t)
		s.offline = offline
		if err := os.WriteFile(s.b.Store.ObjectPath("deb", pkg.SHA256), []byte("evil"), 0o644); err != nil {
			t.Fatal(err)
		}
		ready := 0
		err := s.run(t.Context(), &Prepared{}, []plan.Package{pkg}, func(supplied) error { ready++; return nil })
		var damage *store.CorruptError
		if offline {
			if !errors.As(err, &damage) || len(f.unpacked) > 0 {
				t.Errorf("offline: unpacked %q, %v", f.unpacked, err)
			}
			continue
		}
		if err != nil || ready != 1 || len(f.unpacked) != 1 || f.unpacked[0] != "good" {
			t.Errorf("unpacked %q, ready %d, %v", f.unpacked, ready, err)
		}
	}
}

// A lock may name the same bytes twice.
func TestSupplyOfSameBytesTwice(t *testing.T) {
	s, f, pkg := newSupply(t)
	ready := 0
	err := s.run(t.Context(), &Prepared{}, []plan.Package{pkg, pkg}, func(supplied) error { ready++; return nil })
	if err != nil || ready != 1 || len(f.unpacked) != 1 {
		t.Errorf("unpacked %q, ready %d, %v", f.unpacked, ready, err)
	}
}
