package web

import (
	"fmt"
	"net/http"
	"runtime"
	"sort"
	"sync"

	"slipway/internal/fleet"
)

// counters count events since the server started. Kinds are bounded: a server
// of ours names them, machines do not.
type counters struct {
	mu       sync.Mutex
	kinds    map[string]int64
	problems int64
}

const maxKinds = 200

func (c *counters) count(change fleet.Change) {
	if change.Event == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := change.Event.Kind
	if _, ok := c.kinds[kind]; !ok && len(c.kinds) >= maxKinds {
		kind = "other"
	}
	c.kinds[kind]++
	if change.Event.Problem != "" {
		c.problems++
	}
}

// metrics writes Prometheus' text format, version 0.0.4.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	states, stages := map[string]int{}, map[string]int{}
	for _, state := range []string{"proven", "waiting", "stuck", "off", "unknown"} {
		states[state] = 0
	}
	now := s.o.Now()
	for _, n := range s.fleet.Nodes() {
		row := s.row(&n, now)
		states[row.State]++
		if n.Stage != "" {
			stages[n.Stage]++
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP slipway_machines Machines by state.\n# TYPE slipway_machines gauge\n")
	for _, state := range sorted(states) {
		fmt.Fprintf(w, "slipway_machines{state=%q} %d\n", state, states[state])
	}
	fmt.Fprint(w, "# HELP slipway_machines_at_stage Machines by the furthest stage of their boot.\n# TYPE slipway_machines_at_stage gauge\n")
	for _, stage := range fleet.Stages {
		fmt.Fprintf(w, "slipway_machines_at_stage{stage=%q} %d\n", stage, stages[stage])
	}
	s.stats.mu.Lock()
	fmt.Fprint(w, "# HELP slipway_events_total Events seen, by kind.\n# TYPE slipway_events_total counter\n")
	for _, kind := range sorted(s.stats.kinds) {
		fmt.Fprintf(w, "slipway_events_total{kind=%q} %d\n", kind, s.stats.kinds[kind])
	}
	fmt.Fprintf(w, "# HELP slipway_problems_total Events that tell of a problem.\n# TYPE slipway_problems_total counter\nslipway_problems_total %d\n", s.stats.problems)
	s.stats.mu.Unlock()
	healthy := 1
	if s.fleet.Err() != nil {
		healthy = 0
	}
	fmt.Fprintf(w, "# HELP slipway_records_durable 1 while records reach the disk.\n# TYPE slipway_records_durable gauge\nslipway_records_durable %d\n", healthy)
	fmt.Fprintf(w, "# HELP go_goroutines Goroutines of the server.\n# TYPE go_goroutines gauge\ngo_goroutines %d\n", runtime.NumGoroutine())
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
