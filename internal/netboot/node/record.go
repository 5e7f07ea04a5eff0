package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// Record is what a server remembers of a machine. It changes only through its
// methods, and holds nothing that a definition says.
type Record struct {
	Machine   string   `json:"machine"`
	Installed *Mark    `json:"installed,omitempty"` // the last disk that was finished
	Versions  Versions `json:"versions"`
	// Grant is the machine's latest, which the fleet keeps; nil: it never had one.
	Grant *fleet.Grant `json:"-"`
}

// NewGrant allows an installation that nobody asked for, on an empty disk.
func (r *Record) NewGrant(reason string, now time.Time) {
	r.Grant = fleet.NewGrant(r.Machine, fleet.WhatInstall, reason, now)
	r.Grant.OnlyEmpty = true
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// use takes evidence of an installation. Only the grant that allowed it is
// used up; a mark of an older one is no evidence of the new.
func (r *Record) use(m *Mark, evidence string, now time.Time) bool {
	if r.Grant == nil || m == nil || m.Grant != r.Grant.ID || m.Machine != r.Machine {
		return false
	}
	r.Grant.Consume(evidence, now)
	mark := *m
	r.Installed = &mark
	return true
}

// Records keeps the records of machines. Update reads a record (a new one for
// a machine that is not known yet), lets change work on it, and keeps what it
// left, all or nothing, durable when Update returns; when change returns an
// error nothing is kept, and Update returns that error. It is safe for use by
// many at once, and change may be called again after a conflict.
type Records interface {
	Update(ctx context.Context, machine string, change func(*Record) error) error
}

// Memory keeps records as long as the program runs. The zero value is ready.
type Memory struct {
	mu  sync.Mutex
	all map[string]Record
}

// Update implements Records.
func (m *Memory) Update(_ context.Context, machine string, change func(*Record) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.all[machine]
	r.Machine = machine
	r.Versions.Bad, r.Versions.Kept = slices.Clone(r.Versions.Bad), maps.Clone(r.Versions.Kept)
	if r.Grant != nil {
		grant := *r.Grant
		r.Grant = &grant
	}
	if err := change(&r); err != nil {
		return err
	}
	if m.all == nil {
		m.all = map[string]Record{}
	}
	m.all[machine] = r
	return nil
}
