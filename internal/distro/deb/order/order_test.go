package order

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve/pool"
)

func plan(t *testing.T, installed []*control.Package, list ...*control.Package) (string, error) {
	t.Helper()
	p := pool.New("amd64", nil, list, installed)
	var c Change
	for _, pkg := range p.All() {
		if len(pkg.Versions) > 0 && pkg.Versions[0] != pkg.Installed {
			c.Install = append(c.Install, pkg.Versions[0])
		}
	}
	steps, err := Plan(p, c)
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(string(s.Op))
		for _, c := range s.Packages {
			b.WriteString(" " + c.Name)
		}
		b.WriteString("; ")
	}
	return b.String(), err
}

func TestPlan(t *testing.T) {
	installed := []*control.Package{{Name: "sh", Version: "1", Architecture: "amd64", Essential: true, Depends: "libc"}, {Name: "libc", Version: "1", Architecture: "amd64"}}
	for _, c := range []struct {
		name string
		list []*control.Package
		want string
	}{
		{"dependencies first", []*control.Package{
			{Name: "a", Version: "1", Architecture: "amd64", Depends: "z"}, {Name: "z", Version: "1", Architecture: "amd64"},
		}, "unpack z a; configure-pending; "},
		{"pre-dependencies configured", []*control.Package{
			{Name: "a", Version: "1", Architecture: "amd64", PreDepends: "z"}, {Name: "z", Version: "1", Architecture: "amd64", Depends: "y"}, {Name: "y", Version: "1", Architecture: "amd64"},
		}, "unpack y z; configure y z; unpack a; configure-pending; "},
		{"essential at once", []*control.Package{
			{Name: "a", Version: "1", Architecture: "amd64"}, {Name: "libc", Version: "2", Architecture: "amd64"},
		}, "unpack libc; configure libc; unpack a; configure-pending; "},
		{"breaks before", []*control.Package{
			{Name: "a", Version: "1", Architecture: "amd64", Breaks: "libc (<< 2)"}, {Name: "libc", Version: "2", Architecture: "amd64"},
		}, "unpack libc; configure libc; unpack a; configure-pending; "},
		{"cycle of dependencies", []*control.Package{
			{Name: "a", Version: "1", Architecture: "amd64", Depends: "b"}, {Name: "b", Version: "1", Architecture: "amd64", Depends: "a"},
		}, "unpack b a; configure-pending; "},
		{"nothing to do", nil, "configure-pending; "},
	} {
		have, err := plan(t, installed, c.list...)
		if err != nil || have != c.want {
			t.Errorf("%s: have %s (%v), want %s", c.name, have, err, c.want)
		}
	}
}

func TestPreDependsCycleIsRefused(t *testing.T) {
	_, err := plan(t, nil, &control.Package{Name: "a", Version: "1", Architecture: "amd64", PreDepends: "b"}, &control.Package{Name: "b", Version: "1", Architecture: "amd64", PreDepends: "a"})
	if err == nil || !strings.Contains(err.Error(), "cycle") {
		t.Errorf("have %v", err)
	}
}

// TestPlanHolds checks the rules on random sets with cycles of Depends: each
// package is unpacked once, after its Pre-Depends are configured, and nothing
// is configured by name before all it depends on is unpacked.
func TestPlanHolds(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		list := randomSet(r)
		p := pool.New("amd64", nil, list, nil)
		var c Change
		for _, q := range p.All() {
			c.Install = append(c.Install, q.Versions[0])
		}
		steps, err := Plan(p, c)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := replay(p, steps, len(list)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func randomSet(r *rand.Rand) []*control.Package {
	n := 3 + r.IntN(15)
	list := make([]*control.Package, n)
	for i := range list {
		var depends, pre []string
		for j := range n {
			if j != i && r.IntN(n) == 0 {
				depends = append(depends, fmt.Sprintf("p%d", j))
			}
			if j < i && r.IntN(2*n) == 0 {
				pre = append(pre, fmt.Sprintf("p%d", j))
			}
		}
		list[i] = &control.Package{Name: fmt.Sprintf("p%d", i), Version: "1", Architecture: "amd64", Essential: r.IntN(5) == 0,
			Depends: strings.Join(depends, ", "), PreDepends: strings.Join(pre, ", ")}
	}
	// A Pre-Depends that leads back to its package cannot be ordered at all:
	// let the others only look downwards where one is involved.
	for i, c := range list {
		if c.PreDepends != "" {
			for j := range i {
				list[j].Depends = downward(list[j].Depends, j)
			}
		}
	}
	return list
}

func downward(depends string, limit int) string {
	var kept []string
	for _, d := range strings.Split(depends, ", ") {
		var n int
		if _, err := fmt.Sscanf(d, "p%d", &n); err == nil && n < limit {
			kept = append(kept, d)
		}
	}
	return strings.Join(kept, ", ")
}

func replay(p *pool.Pool, steps []Step, n int) error {
	unpackedNow, configuredNow := map[string]bool{}, map[string]bool{}
	for _, s := range steps {
		for _, c := range s.Packages {
			deps := p.Deps(p.Find(c.Name).Versions[0])
			for i := range deps {
				need := deps[i].Target.Name
				if s.Op == Unpack && deps[i].Type == pool.PreDepends && !configuredNow[need] {
					return fmt.Errorf("%s is unpacked before %s is configured", c.Name, need)
				}
				if s.Op == Configure && !unpackedNow[need] {
					return fmt.Errorf("%s is configured before %s is unpacked", c.Name, need)
				}
			}
			if s.Op == Unpack && unpackedNow[c.Name] || s.Op == Configure && (configuredNow[c.Name] || !unpackedNow[c.Name]) {
				return fmt.Errorf("%s %s at the wrong time", s.Op, c.Name)
			}
			if s.Op == Unpack {
				unpackedNow[c.Name] = true
			} else {
				configuredNow[c.Name] = true
			}
		}
	}
	if len(unpackedNow) != n || steps[len(steps)-1].Op != ConfigurePending {
		return fmt.Errorf("%d of %d packages are unpacked, the last step is %s", len(unpackedNow), n, steps[len(steps)-1].Op)
	}
	return nil
}
