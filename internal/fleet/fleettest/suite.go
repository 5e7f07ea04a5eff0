// Package fleettest is the conformance kit of fleet.Store: every store passes
// the same tests. Stores that outlive a process have more in crash.go.
package fleettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// Open makes an empty store with these limits.
type Open func(t testing.TB, limits fleet.Limits) fleet.Store

// Run judges a store.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"EventsByMachine", eventsByMachine}, {"EventsAreBounded", eventsAreBounded}, {"EventsOfOneMachineAreLimited", eventsPerMachine},
		{"EventsOfAllAreLimited", eventsInAll}, {"RecordsCompareAndSet", compareAndSet}, {"WritesAreAllOrNothing", allOrNothing},
		{"ListHasEveryKey", listHasEveryKey}, {"CountersLoseNothing", countersLoseNothing}, {"WatchersHearAll", watchersHearAll},
		{"StormsAreWhole", stormsAreWhole}, {"BadWritesAreRefused", badWrites}, {"ClosedIsClosed", closedIsClosed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, open) })
	}
}

func opened(t *testing.T, open Open, limits fleet.Limits) fleet.Store {
	t.Helper()
	s := open(t, limits)
	t.Cleanup(func() { s.Close() })
	return s
}

func event(machine, text string, at time.Time) fleet.Event {
	return fleet.Event{Time: at, Machine: machine, Kind: "test.event", Text: text}
}

func eventsByMachine(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	at := time.Now().UTC().Truncate(time.Millisecond)
	must(t, s.Append(ctx, event("web", "1", at), event("db", "2", at.Add(time.Second)), fleet.Event{Time: at, Client: "52:54:00:00:00:01", Kind: "k", Text: "3"}))
	must(t, s.Append(ctx, event("web", "4", at.Add(2*time.Second)), fleet.Event{Time: at, Kind: "server.start", Text: "5"}))
	must(t, s.Append(ctx))
	for _, tc := range []struct {
		q    fleet.Query
		want string
	}{
		{fleet.Query{Keys: []string{"web"}}, "1 4"},
		{fleet.Query{Keys: []string{"web", "52:54:00:00:00:01", "web"}}, "1 3 4"},
		{fleet.Query{}, "1 2 3 4 5"},
		{fleet.Query{Keys: []string{fleet.ServerKey}}, "5"},
		{fleet.Query{Keys: []string{"we"}}, ""},
		{fleet.Query{Keys: []string{"*", ">", "w*"}}, ""},
		{fleet.Query{Since: at.Add(time.Second)}, "2 4"},
		{fleet.Query{Last: 2}, "4 5"},
		{fleet.Query{Keys: []string{"web"}, Last: 1}, "4"},
	} {
		events, err := s.Events(ctx, tc.q)
		must(t, err)
		if got := texts(events); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.q, got, tc.want)
		}
	}
	events, err := s.Events(ctx, fleet.Query{Keys: []string{"db"}})
	must(t, err)
	if e := events[0]; !e.Time.Equal(at.Add(time.Second)) || e.Kind != "test.event" {
		t.Errorf("an event came back as %+v", e)
	}
}

func eventsAreBounded(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	e := event(strings.Repeat("m", 4000), strings.Repeat("x", 1<<20), time.Now())
	e.Fields = map[string]string{}
	for i := range 1000 {
		e.Fields[fmt.Sprint(i)] = strings.Repeat("y", 9000)
	}
	must(t, s.Append(ctx, e))
	events, err := s.Events(ctx, fleet.Query{})
	must(t, err)
	if e := events[0]; len(e.Text) > 4096 || len(e.Fields) > 64 || len(e.Machine) > 255 {
		t.Errorf("kept %d bytes of text, %d fields, a name of %d", len(e.Text), len(e.Fields), len(e.Machine))
	}
}

func eventsPerMachine(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{PerMachine: 10}), t.Context()
	must(t, s.Append(ctx, event("quiet", "still here", time.Now())))
	for i := range 25 {
		must(t, s.Append(ctx, event("loud", fmt.Sprint(i), time.Now())))
	}
	events, err := s.Events(ctx, fleet.Query{Keys: []string{"loud"}})
	must(t, err)
	if len(events) != 10 || events[0].Text != "15" || events[9].Text != "24" {
		t.Errorf("kept %d: %s", len(events), texts(events))
	}
	if events, _ := s.Events(ctx, fleet.Query{Keys: []string{"quiet"}}); len(events) != 1 {
		t.Error("a loud machine drove out a quiet one")
	}
}

func eventsInAll(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{Bytes: 256 << 10, PerMachine: 100000}), t.Context()
	const n = 3000
	for i := 0; i < n; i += 100 {
		batch := make([]fleet.Event, 100)
		for j := range batch {
			batch[j] = event(fmt.Sprint("m", (i+j)%50), fmt.Sprintf("%0200d", i+j), time.Now())
		}
		must(t, s.Append(ctx, batch...))
	}
	events, err := s.Events(ctx, fleet.Query{})
	must(t, err)
	if len(events) == 0 || len(events) > n/2 {
		t.Fatalf("kept %d of %d events, want what fits in 256 KiB", len(events), n)
	}
	if last := events[len(events)-1].Text; last != fmt.Sprintf("%0200d", n-1) {
		t.Errorf("the last event is %s", last)
	}
}

func compareAndSet(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	write := func(value []byte, rev int64) (uint64, error) {
		revs, err := s.Write(ctx, fleet.Write{Table: "t", Key: "k", Value: value, Rev: rev})
		if err != nil {
			return 0, err
		}
		return revs[0], nil
	}
	if _, err := s.Get(ctx, "t", "k"); !errors.Is(err, fleet.ErrNotFound) {
		t.Fatalf("reading nothing: %v", err)
	}
	if _, err := write([]byte("x"), 7); !errors.Is(err, fleet.ErrConflict) {
		t.Fatalf("changing nothing: %v", err)
	}
	for round := range 3 { // made, changed and deleted, again and again
		rev, err := write([]byte("one"), fleet.Absent)
		must(t, err)
		if _, err := write([]byte("two"), fleet.Absent); !errors.Is(err, fleet.ErrConflict) {
			t.Fatalf("round %d: made twice: %v", round, err)
		}
		next, err := write([]byte("two"), int64(rev))
		must(t, err)
		if next <= rev {
			t.Fatalf("revision %d after %d", next, rev)
		}
		if _, err := write([]byte("three"), int64(rev)); !errors.Is(err, fleet.ErrConflict) {
			t.Fatalf("round %d: changed from an old revision: %v", round, err)
		}
		r, err := s.Get(ctx, "t", "k")
		must(t, err)
		if string(r.Value) != "two" || r.Rev != next || r.Table != "t" || r.Key != "k" {
			t.Fatalf("read %+v", r)
		}
		_, err = write(nil, int64(next))
		must(t, err)
		if _, err := s.Get(ctx, "t", "k"); !errors.Is(err, fleet.ErrNotFound) {
			t.Fatalf("reading what was deleted: %v", err)
		}
		_, err = write(nil, fleet.Any)
		must(t, err)
	}
	_, err := write([]byte{}, fleet.Any)
	must(t, err)
	if r, err := s.Get(ctx, "t", "k"); err != nil || len(r.Value) != 0 {
		t.Fatalf("an empty value is not a deleted one: %v", err)
	}
}

func allOrNothing(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	_, err := s.Write(ctx, fleet.Write{Table: "t", Key: "taken", Value: []byte("1"), Rev: fleet.Absent})
	must(t, err)
	_, err = s.Write(ctx,
		fleet.Write{Table: "t", Key: "new", Value: []byte("1"), Rev: fleet.Absent},
		fleet.Write{Table: "t", Key: "taken", Value: []byte("2"), Rev: fleet.Absent})
	if !errors.Is(err, fleet.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if _, err := s.Get(ctx, "t", "new"); !errors.Is(err, fleet.ErrNotFound) {
		t.Fatal("half of a write was done")
	}
	revs, err := s.Write(ctx, fleet.Write{Table: "t", Key: "a", Value: []byte("1"), Rev: fleet.Any}, fleet.Write{Table: "u", Key: "a", Value: []byte("2"), Rev: fleet.Absent})
	must(t, err)
	for i, table := range []string{"t", "u"} {
		if r, err := s.Get(ctx, table, "a"); err != nil || r.Rev != revs[i] {
			t.Errorf("%s: revision %d, %v, want %d", table, r.Rev, err, revs[i])
		}
	}
}

func listHasEveryKey(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	want := map[string]bool{}
	keys := []string{"a.b", "a b", "*", ">", "é", "=41", "=", ".", "52:54:00:00:00:01", "x\ny\x00", strings.Repeat("k", 255)}
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("node%d", i))
	}
	for chunk := range slices.Chunk(keys, 500) {
		var writes []fleet.Write
		for _, k := range chunk {
			want[k] = true
			writes = append(writes, fleet.Write{Table: "nodes", Key: k, Value: []byte(k), Rev: fleet.Any})
		}
		_, err := s.Write(ctx, writes...)
		must(t, err)
	}
	_, err := s.Write(ctx, fleet.Write{Table: "nodes", Key: "node7", Rev: fleet.Any}, fleet.Write{Table: "nodes2", Key: "other", Value: []byte("x"), Rev: fleet.Any})
	must(t, err)
	delete(want, "node7")
	for r, err := range s.List(ctx, "nodes") {
		must(t, err)
		if !want[r.Key] || string(r.Value) != r.Key || r.Rev == 0 {
			t.Errorf("unexpected record %q = %q", r.Key, r.Value)
		}
		delete(want, r.Key)
	}
	if len(want) > 0 {
		t.Errorf("%d records are missing, such as %v", len(want), want)
	}
	n := 0
	for range s.List(ctx, "nodes") {
		if n++; n == 3 {
			break
		}
	}
}

func countersLoseNothing(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	const workers, each = 6, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				rev, value := fleet.Absent, ""
				if r, err := s.Get(ctx, "t", "n"); err == nil {
					rev, value = int64(r.Rev), string(r.Value)
				}
				_, err := s.Write(ctx, fleet.Write{Table: "t", Key: "n", Value: []byte(value + "x"), Rev: rev})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, fleet.ErrConflict):
					t.Errorf("counting: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, err := s.Get(ctx, "t", "n"); err != nil || len(r.Value) != workers*each {
		t.Errorf("counted to %d, want %d (%v)", len(r.Value), workers*each, err)
	}
}

func watchersHearAll(t *testing.T, open Open) {
	s := opened(t, open, fleet.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	ch := s.Watch(ctx)
	must(t, s.Append(ctx, event("web", "hello", time.Now())))
	_, err := s.Write(ctx, fleet.Write{Table: "t", Key: "k", Value: []byte("v"), Rev: fleet.Any})
	must(t, err)
	_, err = s.Write(ctx, fleet.Write{Table: "t", Key: "k", Rev: fleet.Any})
	must(t, err)
	if c := next(t, ch); c.Event == nil || c.Event.Text != "hello" {
		t.Errorf("first change %+v", c)
	}
	if c := next(t, ch); c.Record == nil || string(c.Record.Value) != "v" || c.Deleted {
		t.Errorf("second change %+v", c)
	}
	if c := next(t, ch); c.Record == nil || !c.Deleted {
		t.Errorf("third change %+v", c)
	}
	for range 10000 { // nobody reads: it must not block, and be said later
		must(t, s.Append(ctx, event("web", "x", time.Now()), event("web", "x", time.Now()), event("web", "x", time.Now())))
		if len(ch) == cap(ch) {
			break
		}
	}
	must(t, s.Append(ctx, event("web", "dropped", time.Now())))
	for len(ch) > 0 {
		next(t, ch)
	}
	must(t, s.Append(ctx, event("web", "after", time.Now())))
	if c := next(t, ch); !c.Lost {
		t.Error("changes were dropped, and nobody said so")
	}
	cancel()
	for range ch {
	}
}

func next(t *testing.T, ch <-chan fleet.Change) fleet.Change {
	t.Helper()
	select {
	case c := <-ch:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("no change was reported within 10 s")
		return fleet.Change{}
	}
}

func stormsAreWhole(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	const machines, each = 40, 60
	var wg sync.WaitGroup
	for m := range machines {
		wg.Go(func() {
			for i := 0; i < each; i += 3 {
				name := fmt.Sprint("m", m)
				if err := s.Append(ctx, event(name, fmt.Sprint(i), time.Now()), event(name, fmt.Sprint(i+1), time.Now()), event(name, fmt.Sprint(i+2), time.Now())); err != nil {
					t.Errorf("appending: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for m := range machines {
		events, err := s.Events(ctx, fleet.Query{Keys: []string{fmt.Sprint("m", m)}})
		must(t, err)
		for i, e := range events {
			if e.Text != fmt.Sprint(i) {
				t.Fatalf("machine %d: event %d is %s", m, i, e.Text)
			}
		}
		if len(events) != each {
			t.Errorf("machine %d has %d events, want %d", m, len(events), each)
		}
	}
}

func badWrites(t *testing.T, open Open) {
	s, ctx := opened(t, open, fleet.Limits{}), t.Context()
	for name, w := range map[string][]fleet.Write{
		"no table":  {{Key: "k", Value: []byte("v")}},
		"no key":    {{Table: "t", Value: []byte("v")}},
		"long key":  {{Table: "t", Key: strings.Repeat("k", 256), Value: []byte("v")}},
		"too large": {{Table: "t", Key: "k", Value: make([]byte, 1<<20)}},
		"twice":     {{Table: "t", Key: "k", Value: []byte("v"), Rev: fleet.Any}, {Table: "t", Key: "k", Value: []byte("w"), Rev: fleet.Any}},
	} {
		if _, err := s.Write(ctx, w...); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if _, err := s.Write(ctx); err != nil {
		t.Errorf("writing nothing: %v", err)
	}
}

func closedIsClosed(t *testing.T, open Open) {
	s, ctx := open(t, fleet.Limits{}), t.Context()
	ch := s.Watch(ctx)
	must(t, s.Close())
	must(t, s.Close())
	if _, ok := <-ch; ok {
		t.Error("a watcher outlives the store")
	}
	_, errGet := s.Get(ctx, "t", "k")
	_, errWrite := s.Write(ctx, fleet.Write{Table: "t", Key: "k", Value: []byte("v"), Rev: fleet.Any})
	_, errEvents := s.Events(ctx, fleet.Query{})
	errList := error(nil)
	for _, err := range s.List(ctx, "t") {
		errList = err
	}
	for name, err := range map[string]error{"Append": s.Append(ctx, event("m", "x", time.Now())), "Get": errGet, "Write": errWrite, "Events": errEvents, "List": errList} {
		if !errors.Is(err, fleet.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}

func texts(events []fleet.Event) string {
	var list []string
	for _, e := range events {
		list = append(list, e.Text)
	}
	return strings.Join(list, " ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
