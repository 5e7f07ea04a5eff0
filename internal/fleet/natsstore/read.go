package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"slipway/internal/fleet"
)

// Reads are JetStream's direct gets (ADR-31), in batches; they need no consumer.
const (
	readBatch  = 1000
	readBytes  = 8 << 20
	readWithin = 30 * time.Second
)

// message is a stored one.
type message struct {
	subject string
	seq     uint64
	time    time.Time
	data    []byte
	deleted bool
}

type getRequest struct {
	Seq      uint64     `json:"seq,omitempty"`
	LastFor  string     `json:"last_by_subj,omitempty"`
	NextFor  string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch,omitempty"`
	MaxBytes int        `json:"max_bytes,omitempty"`
	Start    *time.Time `json:"start_time,omitempty"`
}

// last reads the last message of a subject; nil if there is none.
func (s *Store) last(ctx context.Context, stream, subject string) (*message, error) {
	conn, err := s.ready()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	request, err := json.Marshal(getRequest{LastFor: subject})
	if err != nil {
		return nil, err
	}
	m, err := conn.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("reading from %s: %w", s.dir, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return stored(m)
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("reading from %s: %s %s", s.dir, status, m.Header.Get("Description"))
	}
}

// scan calls take with the messages of a subject in their order, from a
// sequence or time on, until it returns false.
func (s *Store) scan(ctx context.Context, stream, subject string, from uint64, since time.Time, take func(*message) bool) error {
	request := getRequest{NextFor: subject, Seq: max(from, 1), Batch: readBatch, MaxBytes: readBytes}
	if !since.IsZero() {
		request.Start, request.Seq = &since, 0
	}
	for {
		last, more, err := s.scanBatch(ctx, stream, request, take)
		if err != nil || !more {
			return err
		}
		request.Seq, request.Start = last+1, nil
	}
}

func (s *Store) scanBatch(ctx context.Context, stream string, request getRequest, take func(*message) bool) (last uint64, more bool, err error) {
	conn, err := s.ready()
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return 0, false, fmt.Errorf("reading from %s: %w", s.dir, err)
	}
	defer sub.Unsubscribe()
	raw, err := json.Marshal(request)
	if err != nil {
		return 0, false, err
	}
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, raw); err != nil {
		return 0, false, fmt.Errorf("reading from %s: %w", s.dir, err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return 0, false, fmt.Errorf("reading from %s: %w", s.dir, err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the end of the batch
			pending, _ := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			return last, pending > 0 && last > 0, nil
		case "404":
			return last, false, nil
		default:
			return 0, false, fmt.Errorf("reading from %s: %s %s", s.dir, status, m.Header.Get("Description"))
		}
		got, err := stored(m)
		if err != nil {
			return 0, false, err
		}
		last = got.seq
		if !take(got) {
			return last, false, nil
		}
	}
}

func stored(m *nats.Msg) (*message, error) {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return nil, errors.New("reading a message of the fleet's records: it has no sequence")
	}
	return &message{subject: m.Header.Get("Nats-Subject"), seq: seq, time: stamp(m.Header), data: m.Data,
		deleted: m.Header.Get(headerDeleted) != ""}, nil
}

// Events implements fleet.Store.
func (s *Store) Events(ctx context.Context, q fleet.Query) ([]fleet.Event, error) {
	subjects := []string{eventPrefix + ">"}
	if len(q.Keys) > 0 {
		subjects = subjects[:0]
		for _, key := range q.Keys {
			subjects = append(subjects, eventSubject(key))
		}
		slices.Sort(subjects)
		subjects = slices.Compact(subjects)
	}
	type numbered struct {
		seq   uint64
		event fleet.Event
	}
	var found []numbered
	for _, subject := range subjects {
		err := s.scan(ctx, streamEvents, subject, 0, time.Time{}, func(m *message) bool {
			var e fleet.Event
			if json.Unmarshal(m.data, &e) == nil && !e.Time.Before(q.Since) {
				found = append(found, numbered{m.seq, e})
			}
			if limit := 2*q.Last + readBatch; q.Last > 0 && len(found) > limit && len(subjects) == 1 {
				found = append(found[:0], found[len(found)-q.Last:]...)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].seq < found[j].seq })
	if q.Last > 0 && len(found) > q.Last {
		found = found[len(found)-q.Last:]
	}
	events := make([]fleet.Event, len(found))
	for i := range found {
		events[i] = found[i].event
	}
	return events, nil
}

// Get implements fleet.Store.
func (s *Store) Get(ctx context.Context, table, key string) (fleet.Record, error) {
	m, err := s.last(ctx, streamRecords, recordSubject(table, key))
	if err != nil {
		return fleet.Record{}, err
	}
	if m == nil || m.deleted {
		return fleet.Record{}, fleet.ErrNotFound
	}
	return fleet.Record{Table: table, Key: key, Value: m.data, Rev: m.seq, Time: m.time}, nil
}

// List implements fleet.Store.
func (s *Store) List(ctx context.Context, table string) iter.Seq2[fleet.Record, error] {
	prefix := recordPrefix + token(table) + "."
	return func(yield func(fleet.Record, error) bool) {
		err := s.scan(ctx, streamRecords, prefix+">", 0, time.Time{}, func(m *message) bool {
			key, ok := untoken(strings.TrimPrefix(m.subject, prefix))
			if !ok || m.deleted {
				return true
			}
			return yield(fleet.Record{Table: table, Key: key, Value: m.data, Rev: m.seq, Time: m.time}, nil)
		})
		if err != nil {
			yield(fleet.Record{}, err)
		}
	}
}
