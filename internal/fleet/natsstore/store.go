// Package natsstore keeps a fleet's events and records in an embedded NATS
// JetStream server: a file store that is synced before a write is answered. The
// server listens on no port; the process speaks to it through a pipe.
//
// It is not a cluster and no service for others. Two streams hold everything:
// "events" with a subject for each machine, "records" with a subject for each
// record and only its last message. A deleted record is a message with the
// header Slipway-Deleted; such are swept when the store is opened.
// Batches are JetStream's atomic batches (ADR-50), which are synced once.
package natsstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"slipway/internal/fleet"
)

// Store is a fleet.Store in a folder.
type Store struct {
	dir    string
	limits fleet.Limits
	lock   *os.File
	log    *serverLog
	watch  *fleet.Watchers

	appends chan *appending
	stop    chan struct{}
	done    chan struct{}

	writing sync.Mutex // one write of records at a time

	mu     sync.RWMutex // of what follows: held for writing while the server starts again
	server *server.Server
	conn   *nats.Conn
	broken error
	tried  time.Time
	closed bool
}

var _ fleet.Store = (*Store)(nil)

// Open opens the store in a folder and makes it if it is not there. Only one
// process can have it open: a *HeldError names the other.
func Open(dir string, limits fleet.Limits) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the fleet's records: %w", err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, limits: limits.WithDefaults(), lock: lock, log: &serverLog{}, watch: &fleet.Watchers{},
		appends: make(chan *appending, 256), stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.start(); err != nil {
		s.halt()
		lock.Close()
		return nil, err
	}
	if err := s.sweep(); err != nil {
		s.halt()
		lock.Close()
		return nil, err
	}
	go s.commit()
	return s, nil
}

// Exists says whether a folder holds a store.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "jetstream"))
	return !errors.Is(err, fs.ErrNotExist)
}

// Watch implements fleet.Store.
func (s *Store) Watch(ctx context.Context) <-chan fleet.Change { return s.watch.Watch(ctx) }

// Close implements fleet.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	s.writing.Lock()
	s.mu.Lock()
	s.halt()
	s.mu.Unlock()
	s.writing.Unlock()
	s.watch.Close()
	return s.lock.Close()
}

// Damage lists what the server found wrong with its files when it read them.
func (s *Store) Damage() []string { return s.log.list() }
