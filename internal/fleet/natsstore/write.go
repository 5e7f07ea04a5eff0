package natsstore

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"slipway/internal/fleet"
)

// Write implements fleet.Store.
func (s *Store) Write(ctx context.Context, writes ...fleet.Write) ([]uint64, error) {
	if err := fleet.CheckWrites(writes); err != nil || len(writes) == 0 {
		return nil, err
	}
	if len(writes) > maxBatch {
		return nil, fmt.Errorf("writing %d records at once: at most %d", len(writes), maxBatch)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	msgs := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		m, err := s.writeMessage(ctx, w)
		if err != nil {
			return nil, err
		}
		msgs[i] = m
	}
	last, err := s.publish(ctx, msgs)
	if err != nil {
		return nil, err
	}
	revs, changes, now := make([]uint64, len(writes)), make([]fleet.Change, len(writes)), time.Now()
	for i, w := range writes {
		revs[i] = last - uint64(len(writes)-1-i)
		changes[i] = fleet.Change{Deleted: w.Value == nil,
			Record: &fleet.Record{Table: w.Table, Key: w.Key, Value: bytes.Clone(w.Value), Rev: revs[i], Time: now}}
	}
	s.watch.Tell(changes...)
	return revs, nil
}

// writeMessage checks the revision here, because a deleted record has a
// message too; and lets the server check it again.
func (s *Store) writeMessage(ctx context.Context, w fleet.Write) (*nats.Msg, error) {
	m := message0(recordSubject(w.Table, w.Key), bytes.Clone(w.Value))
	if w.Value == nil {
		m.Header.Set(headerDeleted, "1")
	}
	if w.Rev == fleet.Any {
		return m, nil
	}
	old, err := s.last(ctx, streamRecords, m.Subject)
	if err != nil {
		return nil, err
	}
	seq, rev := uint64(0), uint64(0)
	if old != nil {
		seq = old.seq
		if !old.deleted {
			rev = old.seq
		}
	}
	if rev != uint64(w.Rev) {
		return nil, fleet.ErrConflict
	}
	m.Header.Set(headerExpected, strconv.FormatUint(seq, 10))
	return m, nil
}
