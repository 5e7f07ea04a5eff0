package natsstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"slipway/internal/fleet"
)

// Headers of JetStream, and ours.
const (
	headerDeleted   = "Slipway-Deleted"
	headerExpected  = "Nats-Expected-Last-Subject-Sequence"
	headerBatch     = "Nats-Batch-Id"
	headerBatchSeq  = "Nats-Batch-Sequence"
	headerCommit    = "Nats-Batch-Commit"
	codeWrongLast   = 10071 // JSStreamWrongLastSequenceErrF
	codeWrongLastK  = 10164 // the same without the sequence
	maxBatch        = 1000  // messages of one atomic batch
	maxBatchPayload = 16 << 20
)

// answer is what the server says to a publication.
type answer struct {
	Seq   uint64 `json:"seq"`
	Error *struct {
		Code    int    `json:"err_code"`
		Message string `json:"description"`
	} `json:"error"`
}

// publish writes all messages or none, synced once, and returns the sequence of
// the last; the others precede it without a gap.
func (s *Store) publish(ctx context.Context, msgs []*nats.Msg) (uint64, error) {
	conn, err := s.ready()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	if len(msgs) > 1 {
		id := rand.Text()
		for i, m := range msgs {
			m.Header.Set(headerBatch, id)
			m.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
		}
		for _, m := range msgs[:len(msgs)-1] {
			if err := conn.PublishMsg(m); err != nil {
				return 0, s.writeError(err)
			}
		}
		msgs[len(msgs)-1].Header.Set(headerCommit, "1")
	}
	reply, err := s.request(ctx, conn, msgs[len(msgs)-1])
	if err != nil {
		return 0, s.writeError(err)
	}
	var a answer
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return 0, s.writeError(fmt.Errorf("the answer is not understood: %w", err))
	}
	switch {
	case a.Error == nil:
		return a.Seq, nil
	case a.Error.Code == codeWrongLast || a.Error.Code == codeWrongLastK:
		return 0, fleet.ErrConflict
	}
	return 0, s.writeError(fmt.Errorf("%s (%d)", a.Error.Message, a.Error.Code))
}

// request waits for the answer. A server whose disk is full gives none, so that
// is looked after meanwhile.
func (s *Store) request(ctx context.Context, conn *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	m.Reply = inbox
	if err := conn.PublishMsg(m); err != nil {
		return nil, err
	}
	for {
		reply, err := sub.NextMsg(time.Second)
		switch {
		case !errors.Is(err, nats.ErrTimeout):
			return reply, err
		case s.room() != "":
			return nil, errors.New("the disk is full")
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// writeError makes a failure of the server one that names the folder.
func (s *Store) writeError(err error) error {
	err = fmt.Errorf("writing to %s: %w%s", s.dir, err, s.room())
	s.failed(err)
	return err
}

func message0(subject string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
}

// stamp is a time as JetStream writes it in headers.
func stamp(h nats.Header) time.Time {
	t, err := time.Parse(time.RFC3339Nano, h.Get("Nats-Time-Stamp"))
	if err != nil {
		return time.Time{}
	}
	return t
}
