package natsstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"slipway/internal/fleet"
)

// appending is a call of Append that waits to be durable.
type appending struct {
	events []fleet.Event
	reply  chan error
}

// Append implements fleet.Store.
func (s *Store) Append(ctx context.Context, events ...fleet.Event) error {
	if len(events) == 0 {
		return nil
	}
	a := &appending{reply: make(chan error, 1)}
	for _, e := range events {
		a.events = append(a.events, e.Bounded())
	}
	select {
	case s.appends <- a:
	case <-s.stop:
		return fleet.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.reply:
		return err
	case <-s.done:
		select {
		case err := <-a.reply:
			return err
		default:
			return fleet.ErrClosed
		}
	}
}

// commit writes together what has come together: while one batch is synced,
// the next one gathers.
func (s *Store) commit() {
	defer close(s.done)
	for {
		select {
		case a := <-s.appends:
			s.writeTogether(append([]*appending{a}, s.waiting()...))
		case <-s.stop:
			if rest := s.waiting(); len(rest) > 0 {
				s.writeTogether(rest)
			}
			return
		}
	}
}

func (s *Store) waiting() []*appending {
	var list []*appending
	for n := 0; n < maxBatch; {
		select {
		case a := <-s.appends:
			list = append(list, a)
			n += len(a.events)
		default:
			return list
		}
	}
	return list
}

func (s *Store) writeTogether(list []*appending) {
	var events []fleet.Event
	for _, a := range list {
		events = append(events, a.events...)
	}
	err := s.appendAll(events)
	for _, a := range list {
		a.reply <- err
	}
}

func (s *Store) appendAll(events []fleet.Event) error {
	for len(events) > 0 {
		msgs, bytes := []*nats.Msg(nil), 0
		for _, e := range events {
			data, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("writing an event: %w", err)
			}
			if bytes += len(data); len(msgs) == maxBatch || len(msgs) > 0 && bytes > maxBatchPayload {
				break
			}
			msgs = append(msgs, message0(eventSubject(e.Key()), data))
		}
		if _, err := s.publish(context.Background(), msgs); err != nil {
			return fmt.Errorf("writing events: %w", err)
		}
		changes := make([]fleet.Change, len(msgs))
		for i := range msgs {
			changes[i].Event = &events[i]
		}
		s.watch.Tell(changes...)
		events = events[len(msgs):]
	}
	return nil
}
