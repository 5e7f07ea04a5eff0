package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"time"
)

// history is how long the last boots of one definition took from power-on to
// each stage, in milliseconds.
type history struct {
	Runs []map[string]int64 `json:"runs"`
}

const maxRuns = 16

func (f *Fleet) readHistory(ctx context.Context) error {
	for r, err := range f.store.List(ctx, tableHistory) {
		if err != nil {
			return fmt.Errorf("reading the history of boots: %w", err)
		}
		h := new(history)
		if json.Unmarshal(r.Value, h) == nil {
			f.history[r.Key] = h
		}
	}
	return nil
}

// learn notes a boot that has come to its end: proven, or the disk written.
func (f *Fleet) learn(n *Node, e Event, boots int, before string) {
	if n.Definition == "" || n.BootTime.IsZero() {
		return
	}
	end := n.Stage == StageProven && (before != StageProven || boots != n.Boots)
	if !end && e.Kind != KindInstallDone {
		return
	}
	run := map[string]int64{"end": e.Time.Sub(n.BootTime).Milliseconds()}
	for stage, t := range n.Stages {
		run[stage] = t.Sub(n.BootTime).Milliseconds()
	}
	key := historyKey(n, e.Kind == KindInstallDone)
	h := f.history[key]
	if h == nil {
		h = &history{}
		f.history[key] = h
	}
	h.Runs = append(h.Runs, run)
	if over := len(h.Runs) - maxRuns; over > 0 {
		h.Runs = append([]map[string]int64(nil), h.Runs[over:]...)
	}
	f.oldRuns[key] = true
}

// An installation and a boot of the same definition end at different places.
func historyKey(n *Node, install bool) string {
	if install {
		return cut(n.Definition, maxKey-8) + ":install"
	}
	return cut(n.Definition, maxKey-8)
}

// Left is how long the machine's boot is still expected to take: what earlier
// boots of its definition took from the same stage on. ok is false when there
// were none, or when it is up.
func (f *Fleet) Left(id string, now time.Time) (left time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(id)
	if n == nil || n.Stage == "" || n.Stage == StageProven {
		return 0, false
	}
	_, installing := n.Stages[StageInstall]
	h := f.history[historyKey(n, installing)]
	if h == nil {
		return 0, false
	}
	var rest []int64
	for _, run := range h.Runs {
		at, was := run[n.Stage]
		if was && run["end"] >= at {
			rest = append(rest, run["end"]-at)
		}
	}
	if len(rest) == 0 {
		return 0, false
	}
	sort.Slice(rest, func(i, j int) bool { return rest[i] < rest[j] })
	left = time.Duration(rest[len(rest)/2])*time.Millisecond - now.Sub(n.Stages[n.Stage])
	return max(left, 0), true
}
