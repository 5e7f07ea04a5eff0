package fleet

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"sort"
	"sync"
	"time"
)

// Memory is a Store that ends with the process: for rehearsals, and for tests.
type Memory struct {
	limits Limits
	hub    Watchers

	mu      sync.Mutex
	closed  bool
	rev     uint64
	records map[string]map[string]Record
	events  map[string][]numbered
	seq     uint64
	bytes   int64
}

type numbered struct {
	seq   uint64
	size  int64
	event Event
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{limits: limits.WithDefaults(), records: map[string]map[string]Record{}, events: map[string][]numbered{}}
}

// Append implements Store.
func (m *Memory) Append(ctx context.Context, events ...Event) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	changes := make([]Change, 0, len(events))
	for _, e := range events {
		e = e.Bounded()
		m.seq++
		n := numbered{m.seq, e.size(), e}
		key := e.Key()
		list := append(m.events[key], n)
		m.bytes += n.size
		if over := len(list) - m.limits.PerMachine; over > 0 {
			for _, old := range list[:over] {
				m.bytes -= old.size
			}
			list = append([]numbered(nil), list[over:]...)
		}
		m.events[key] = list
		changes = append(changes, Change{Event: &e})
	}
	m.trim()
	m.mu.Unlock()
	m.hub.Tell(changes...)
	return nil
}

// trim drops the oldest events of all when there are too many bytes: a tenth
// at once, since finding them reads everything.
func (m *Memory) trim() {
	if m.bytes <= m.limits.Bytes {
		return
	}
	var all []numbered
	for _, list := range m.events {
		all = append(all, list...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].seq < all[j].seq })
	keepFrom := uint64(0)
	for left := m.bytes; len(all) > 0 && left > m.limits.Bytes*9/10; all = all[1:] {
		left -= all[0].size
		keepFrom = all[0].seq + 1
	}
	for key, list := range m.events {
		i := sort.Search(len(list), func(i int) bool { return list[i].seq >= keepFrom })
		for _, old := range list[:i] {
			m.bytes -= old.size
		}
		if i == len(list) {
			delete(m.events, key)
			continue
		}
		m.events[key] = append([]numbered(nil), list[i:]...)
	}
}

// Events implements Store.
func (m *Memory) Events(ctx context.Context, q Query) ([]Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	since := q.Since
	if oldest := time.Now().Add(-m.limits.Age); since.Before(oldest) {
		since = oldest
	}
	var found []numbered
	take := func(list []numbered) {
		for _, n := range list {
			if !n.event.Time.Before(since) {
				found = append(found, n)
			}
		}
	}
	if len(q.Keys) == 0 {
		for _, list := range m.events {
			take(list)
		}
	}
	for _, key := range unique(q.Keys) {
		take(m.events[key])
	}
	sort.Slice(found, func(i, j int) bool { return found[i].seq < found[j].seq })
	if q.Last > 0 && len(found) > q.Last {
		found = found[len(found)-q.Last:]
	}
	events := make([]Event, len(found))
	for i, n := range found {
		events[i] = n.event
		events[i].Fields = maps.Clone(n.event.Fields)
	}
	return events, nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, table, key string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Record{}, ErrClosed
	}
	r, ok := m.records[table][key]
	if !ok {
		return Record{}, ErrNotFound
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// Write implements Store.
func (m *Memory) Write(ctx context.Context, writes ...Write) ([]uint64, error) {
	if err := CheckWrites(writes); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ErrClosed
	}
	for _, w := range writes {
		if w.Rev != Any && m.records[w.Table][w.Key].Rev != uint64(w.Rev) {
			m.mu.Unlock()
			return nil, ErrConflict
		}
	}
	revs := make([]uint64, len(writes))
	changes := make([]Change, len(writes))
	for i, w := range writes {
		m.rev++
		revs[i] = m.rev
		r := Record{Table: w.Table, Key: w.Key, Value: bytes.Clone(w.Value), Rev: m.rev, Time: time.Now()}
		if m.records[w.Table] == nil {
			m.records[w.Table] = map[string]Record{}
		}
		if w.Value == nil {
			delete(m.records[w.Table], w.Key)
		} else {
			m.records[w.Table][w.Key] = r
		}
		changes[i] = Change{Record: &r, Deleted: w.Value == nil}
	}
	m.mu.Unlock()
	m.hub.Tell(changes...)
	return revs, nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, table string) iter.Seq2[Record, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return func(yield func(Record, error) bool) { yield(Record{}, ErrClosed) }
	}
	list := make([]Record, 0, len(m.records[table]))
	for _, r := range m.records[table] {
		list = append(list, r)
	}
	return func(yield func(Record, error) bool) {
		for _, r := range list {
			r.Value = bytes.Clone(r.Value)
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context) <-chan Change { return m.hub.Watch(ctx) }

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.hub.Close()
	return nil
}

// size is about what an event takes in memory or on disk.
func (e Event) size() int64 {
	n := 120 + len(e.Client) + len(e.Machine) + len(e.Address) + len(e.Kind) + len(e.Stage) + len(e.Problem) + len(e.Text)
	for k, v := range e.Fields {
		n += len(k) + len(v) + 6
	}
	return int64(n)
}

func unique(keys []string) []string {
	seen := map[string]bool{}
	var list []string
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			list = append(list, k)
		}
	}
	return list
}
