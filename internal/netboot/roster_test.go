package netboot

import (
	"fmt"
	"testing"
	"time"

	"slipway/internal/machine"
)

// many is a roster of n machines, each known by its address.
func many(tb testing.TB, n int) *Roster {
	tb.Helper()
	list := make([]*Machine, n)
	for i := range list {
		list[i] = &Machine{Name: fmt.Sprintf("n%d", i), Match: machine.Match{MAC: []string{mac(i)}}}
	}
	r, errs := NewRoster(list)
	if len(errs) > 0 {
		tb.Fatal(errs[0])
	}
	return r
}

func mac(i int) string { return fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255) }

// One decision costs the same however many machines there are.
func TestRosterLarge(t *testing.T) {
	const n = 100_000
	r := many(t, n)
	begin := time.Now()
	for i := range 1000 {
		if m := r.Find(Facts{MAC: mac(i * 97)}); m == nil || m.Name != fmt.Sprintf("n%d", i*97) {
			t.Fatalf("machine %d is %+v", i*97, m)
		}
	}
	if took := time.Since(begin) / 1000; took > 2*time.Millisecond {
		t.Errorf("finding one of %d machines takes %s", n, took)
	}
}

func BenchmarkRosterFind(b *testing.B) {
	r := many(b, 100_000)
	for i := 0; b.Loop(); i++ {
		r.Find(Facts{MAC: mac(i % 100_000)})
	}
}
