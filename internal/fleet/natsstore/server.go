package natsstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipway/internal/fleet"
)

// Names of the streams, and how long the server may take for what it does.
const (
	streamEvents  = "events"
	streamRecords = "records"

	startWithin = 60 * time.Second
	writeWithin = 30 * time.Second
	retryEvery  = time.Second
)

// start runs the server and makes the streams as they must be.
func (s *Store) start() error {
	if err := s.forgetIndexes(); err != nil {
		return err
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "fleet", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: s.dir, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 50, // the streams have limits of their own
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return fmt.Errorf("preparing the server of the fleet's records: %w", err)
	}
	srv.SetLoggerV2(s.log, false, false, false)
	s.server = srv
	srv.Start()
	if !srv.ReadyForConnections(startWithin) || !srv.JetStreamEnabled() {
		return s.log.explain(fmt.Errorf("the store of the fleet's records in %s does not start", s.dir))
	}
	s.conn, err = nats.Connect("", nats.InProcessServer(srv), nats.MaxReconnects(0), nats.NoCallbacksAfterClientClose())
	if err != nil {
		return fmt.Errorf("reaching the store of the fleet's records: %w", err)
	}
	return s.makeStreams()
}

// forgetIndexes makes the server read every message and check its hash. With
// an index it believes the blocks, and spins for ever at the first flipped
// byte when it comes to read it. What follows such a byte in its block is lost
// then; Fleet's New compares grants with their events for that reason.
func (s *Store) forgetIndexes() error {
	indexes, err := filepath.Glob(filepath.Join(s.dir, "jetstream", "*", "streams", "*", "msgs", "index.db"))
	for _, path := range indexes {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("opening the fleet's records: %w", err)
	}
	return nil
}

func (s *Store) makeStreams() error {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	base := jetstream.StreamConfig{Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, Replicas: 1,
		AllowDirect: true, AllowAtomicPublish: true, Duplicates: time.Second}
	events, records := base, base
	events.Name, events.Subjects = streamEvents, []string{eventPrefix + ">"}
	events.MaxMsgsPerSubject = int64(s.limits.PerMachine)
	events.MaxBytes, events.MaxAge = s.limits.Bytes, s.limits.Age
	records.Name, records.Subjects, records.MaxMsgsPerSubject = streamRecords, []string{recordPrefix + ">"}, 1
	for _, c := range []jetstream.StreamConfig{events, records} {
		if _, err := js.CreateOrUpdateStream(ctx, c); err != nil {
			return s.log.explain(fmt.Errorf("opening the stream %s of the fleet's records in %s: %w", c.Name, s.dir, err))
		}
	}
	return nil
}

// sweep removes what is left of deleted records.
func (s *Store) sweep() error {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	stream, err := js.Stream(ctx, streamRecords)
	if err != nil {
		return err
	}
	var gone []uint64
	err = s.scan(ctx, streamRecords, recordPrefix+">", 0, time.Time{}, func(m *message) bool {
		if m.deleted {
			gone = append(gone, m.seq)
		}
		return true
	})
	for _, seq := range gone {
		err = errors.Join(err, stream.DeleteMsg(ctx, seq))
	}
	if err != nil {
		return fmt.Errorf("reading the fleet's records in %s: %w", s.dir, err)
	}
	return nil
}

func (s *Store) halt() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		s.server = nil
	}
}

// ready returns the connection. After a failed write (a full disk) the server
// would refuse everything for ever, so it is started again, now and then.
func (s *Store) ready() (*nats.Conn, error) {
	s.mu.RLock()
	conn, broken, closed := s.conn, s.broken, s.closed
	s.mu.RUnlock()
	switch {
	case closed && conn == nil:
		return nil, fleet.ErrClosed
	case broken == nil:
		return conn, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		return s.conn, nil
	}
	if time.Since(s.tried) < retryEvery {
		return nil, s.broken
	}
	s.tried = time.Now()
	s.halt()
	if err := s.start(); err != nil {
		return nil, errors.Join(s.broken, err)
	}
	s.broken = nil
	return s.conn, nil
}

// failed notes an error of the server that only a new start cures.
func (s *Store) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil && !s.closed {
		s.broken, s.tried = err, time.Now()
	}
}
