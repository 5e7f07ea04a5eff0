package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"sync"
	"time"
)

// LeaseState is what an address is doing.
type LeaseState string

// States of leases. Only an active one is a promise; a released or expired one
// is remembered so that its machine gets the same address again.
const (
	LeaseOffered  LeaseState = "offered"
	LeaseActive   LeaseState = "active"
	LeaseExpired  LeaseState = "expired"
	LeaseReleased LeaseState = "released"
	LeaseDeclined LeaseState = "declined" // a client found it in use
	LeaseConflict LeaseState = "conflict" // the server found it in use
)

// Lease is one address and who has it.
type Lease struct {
	Address  netip.Addr `json:"address"`
	Client   string     `json:"client,omitempty"` // hardware address; of a conflict: who answered
	Machine  string     `json:"machine,omitempty"`
	Hostname string     `json:"hostname,omitempty"` // as the client calls itself
	State    LeaseState `json:"state"`
	Start    time.Time  `json:"start"`
	End      time.Time  `json:"end"`
}

// Leases holds the leases of a server: a table in memory and, when it was
// opened with a path, a journal from which it is read again.
type Leases struct {
	clock   Clock
	journal *journal // nil: memory only

	mu     sync.Mutex
	byAddr map[uint32]*entry
	pools  []*pool
	jump   time.Duration // wall clock less monotonic clock, when last looked at
}

// entry is a lease in the table. Times are monotonic, so that a clock that
// jumps neither ends nor prolongs it.
type entry struct {
	addr     uint32
	state    LeaseState
	client   string
	machine  string
	hostname string
	start    int64 // Unix time
	end      time.Duration
	moved    *entry // the client's lease before this offer
	checking bool   // an answer waits for the conflict check of this address
}

func (e *entry) live(now time.Duration) bool {
	switch e.state {
	case LeaseActive, LeaseOffered, LeaseDeclined, LeaseConflict:
		return e.end > now
	}
	return false
}

// MemoryLeases makes a table without a journal.
func MemoryLeases() *Leases { return newLeases(Clock{}) }

func newLeases(c Clock) *Leases {
	l := &Leases{clock: c.system(), byAddr: map[uint32]*entry{}}
	l.jump = l.offset()
	return l
}

// OpenLeases reads the journal at path, which is made when it is not there,
// and keeps it locked until Close. What a crash left half-written at its end
// is cut off. Damaged lines are passed over and counted.
func OpenLeases(path string) (*Leases, error) { return openLeases(path, Clock{}) }

func openLeases(path string, c Clock) (*Leases, error) {
	l := newLeases(c)
	j, err := openJournal(path, l)
	if err != nil {
		return nil, fmt.Errorf("opening the leases: %w", err)
	}
	l.journal = j
	go j.run()
	return l, nil
}

// Damaged is how many lines of the journal could not be read.
func (l *Leases) Damaged() int {
	if l.journal == nil {
		return 0
	}
	return l.journal.damaged
}

// Close writes what is waiting and lets go of the journal. A Server that uses
// the leases must have returned.
func (l *Leases) Close() error {
	if l.journal == nil {
		return nil
	}
	return l.journal.close()
}

// List returns all leases by their addresses.
func (l *Leases) List() []Lease {
	l.mu.Lock()
	now, wall := l.clock.Mono(), l.clock.Wall()
	out := make([]Lease, 0, len(l.byAddr))
	for _, e := range l.byAddr {
		out = append(out, e.public(now, wall))
	}
	l.mu.Unlock()
	sort.Slice(out, func(i, j int) bool { return out[i].Address.Less(out[j].Address) })
	return out
}

// Lookup returns the active lease of an address: who an HTTP or TFTP request
// from there is.
func (l *Leases) Lookup(addr netip.Addr) (Lease, bool) {
	if !addr.Unmap().Is4() {
		return Lease{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Mono()
	e := l.byAddr[number(addr.Unmap())]
	if e == nil || e.state != LeaseActive || !e.live(now) {
		return Lease{}, false
	}
	return e.public(now, l.clock.Wall()), true
}

func (e *entry) public(now time.Duration, wall time.Time) Lease {
	state := e.state
	if !e.live(now) && state != LeaseReleased {
		state = LeaseExpired
	}
	return Lease{Address: address(e.addr), Client: e.client, Machine: e.machine, Hostname: e.hostname, State: state,
		Start: time.Unix(e.start, 0), End: wall.Add(e.end - now).Round(time.Second)}
}

// offset is how far the wall clock is from the monotonic one.
func (l *Leases) offset() time.Duration {
	return time.Duration(l.clock.Wall().UnixNano()) - l.clock.Mono()
}

// jumped returns by how much the wall clock was set since the last call. What
// the journal says of ends is rewritten then: it is in wall time.
func (l *Leases) jumped() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.jump
	l.jump = l.offset()
	if d := l.jump - was; d > jumpLimit || d < -jumpLimit {
		if l.journal != nil {
			l.journal.rewrite()
		}
		return d
	}
	return 0
}

// jumpLimit is more than a clock that is kept in step ever moves at once.
const jumpLimit = 30 * time.Second

// number and address convert an IPv4 address.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
