package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such record")
	ErrConflict = errors.New("the record was changed meanwhile")
	ErrClosed   = errors.New("the store is closed")
)

// Store keeps events and records. All methods are safe for use by many at once.
//
// What a method has done when it returns nil survives the death of the process
// at any later moment; a write that was cut off is there wholly or not at all.
type Store interface {
	// Append adds events in their order. Events that come at the same time are
	// made durable together.
	Append(ctx context.Context, events ...Event) error
	// Events returns what is still kept of the query's keys, the oldest first.
	Events(ctx context.Context, q Query) ([]Event, error)
	// Get returns a record, or ErrNotFound.
	Get(ctx context.Context, table, key string) (Record, error)
	// Write does all writes or, with ErrConflict, none. It returns the new
	// revision of each.
	Write(ctx context.Context, writes ...Write) ([]uint64, error)
	// List yields the records of a table in no particular order.
	List(ctx context.Context, table string) iter.Seq2[Record, error]
	// Watch reports what is appended and written from now on, until ctx ends;
	// then the channel is closed. Who reads too slowly is told so by a Change
	// with Lost set, and lists again.
	Watch(ctx context.Context) <-chan Change
	// Close makes everything durable. Calls after it fail with ErrClosed.
	Close() error
}

// Query chooses events.
type Query struct {
	Keys  []string  // names and hardware addresses, as Event.Key makes them; none: all events
	Since time.Time // events of that moment or later
	Last  int       // at most so many, the latest ones; 0: all
}

// Record is a named value in a table. Revisions grow with each write of the
// whole store.
type Record struct {
	Table, Key string
	Value      []byte
	Rev        uint64
	Time       time.Time // when it was written
}

// Write is one change of a record.
type Write struct {
	Table, Key string
	Value      []byte // not kept; nil deletes
	// Rev is the revision that the record must have: Any, or Absent, or what
	// was read.
	Rev int64
}

// Revisions of a Write that name none.
const (
	Any    int64 = -1
	Absent int64 = 0
)

// Change is what a watcher hears of.
type Change struct {
	Event   *Event  // an event was appended
	Record  *Record // a record was written
	Deleted bool    // Record was deleted; its Value is nil
	Lost    bool    // changes before this one were dropped
}

// Limits bound what a store keeps of events; the oldest go first. Zero fields
// take the default.
type Limits struct {
	PerMachine int           // events of one machine; default 4096
	Bytes      int64         // of all events; default 256 MiB
	Age        time.Duration // default 90 days
}

// WithDefaults fills what is zero.
func (l Limits) WithDefaults() Limits {
	if l.PerMachine <= 0 {
		l.PerMachine = 4096
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	if l.Age <= 0 {
		l.Age = 90 * 24 * time.Hour
	}
	return l
}

// ServerKey is the key of events that belong to no machine.
const ServerKey = "-"

// Key is what an event is filed under: the machine's name, else its hardware
// address, else ServerKey.
func (e Event) Key() string {
	switch {
	case e.Machine != "":
		return e.Machine
	case e.Client != "":
		return e.Client
	}
	return ServerKey
}

// Bounds of a single event: the bytes come from machines.
const (
	maxText   = 2 << 10
	maxFields = 32
	maxField  = 1 << 10
	maxKey    = 255
	maxValue  = 512 << 10
)

// Bounded returns the event with hostile sizes cut down and maps copied.
func (e Event) Bounded() Event {
	e.Client, e.Machine = cut(e.Client, maxKey), cut(e.Machine, maxKey)
	e.Address, e.Kind, e.Stage = cut(e.Address, 64), cut(e.Kind, 64), cut(e.Stage, 32)
	e.Text, e.Problem = cut(e.Text, maxText), cut(e.Problem, maxText)
	if e.Fields == nil {
		return e
	}
	fields := make(map[string]string, min(len(e.Fields), maxFields))
	for k, v := range e.Fields {
		if len(fields) == maxFields {
			break
		}
		fields[cut(k, 64)] = cut(v, maxField)
	}
	e.Fields = fields
	return e
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// CheckWrites refuses what no store takes.
func CheckWrites(writes []Write) error {
	seen := make(map[[2]string]bool, len(writes))
	for _, w := range writes {
		id := [2]string{w.Table, w.Key}
		if seen[id] {
			return fmt.Errorf("writing %s/%s: it is named twice in one write", w.Table, w.Key)
		}
		seen[id] = true
		switch {
		case w.Table == "" || w.Key == "":
			return fmt.Errorf("writing a record: table %q, key %q: neither may be empty", w.Table, w.Key)
		case len(w.Key) > maxKey:
			return fmt.Errorf("writing a record of table %s: its key has %d bytes, more than %d", w.Table, len(w.Key), maxKey)
		case len(w.Value) > maxValue:
			return fmt.Errorf("writing %s/%s: %d bytes, more than %d", w.Table, w.Key, len(w.Value), maxValue)
		}
	}
	return nil
}
