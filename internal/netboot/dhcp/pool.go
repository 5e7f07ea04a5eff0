package dhcp

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"
)

// pool is a subnet with its leases. All of it is guarded by the mutex of the
// Leases.
type pool struct {
	*Subnet
	ranges   []span
	byClient map[string]*entry
	ready    []checked     // free addresses that nobody answered for, oldest first
	asking   bool          // more are being asked for
	waiting  []func()      // who found none meanwhile: called when the answers are in
	parked   []uint32      // passed over because they belong to machines
	noExpiry time.Duration // no lease ends before this: looked at last time the pool was full
}

// span is a range of addresses with one bit each: set when the address is not
// free, because there is a lease or because it waits among the ready ones.
type span struct {
	first, size uint32
	used        []uint64
	hint        int // no word before it has a free bit
}

// checked is an address and when the network was asked for it.
type checked struct {
	addr uint32
	at   time.Duration
}

// maxPool bounds the memory of a range: a /12.
const maxPool = 1 << 20

var errExhausted = errors.New("no free address")

// attach prepares the table for the subnets of a server.
func (l *Leases) attach(subnets []Subnet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pools = nil
	for i := range subnets {
		p, err := newPool(&subnets[i])
		if err != nil {
			return err
		}
		for _, other := range l.pools {
			if other.Prefix.Overlaps(p.Prefix) {
				return fmt.Errorf("the subnets %s and %s overlap: give each its own", other.Prefix, p.Prefix)
			}
		}
		l.pools = append(l.pools, p)
	}
	for _, e := range l.byAddr {
		if p := l.poolOf(address(e.addr)); p != nil {
			p.put(e)
		}
	}
	return nil
}

func newPool(s *Subnet) (*pool, error) {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() {
		return nil, fmt.Errorf("the subnet %s is no IPv4 network", s.Prefix)
	}
	p := &pool{Subnet: s, byClient: map[string]*entry{}}
	for _, r := range s.Pools {
		if !s.Prefix.Contains(r.First) || !s.Prefix.Contains(r.Last) {
			return nil, fmt.Errorf("the pool %s-%s is not in its subnet %s", r.First, r.Last, s.Prefix)
		}
		first, last := number(r.First), number(r.Last)
		if last < first || last-first >= maxPool {
			return nil, fmt.Errorf("the pool %s-%s is empty or has more than %d addresses", r.First, r.Last, maxPool)
		}
		sp := span{first: first, size: last - first + 1}
		sp.used = make([]uint64, (sp.size+63)/64)
		for i := sp.size; i < uint32(len(sp.used))*64; i++ {
			sp.used[i/64] |= 1 << (i % 64)
		}
		p.ranges = append(p.ranges, sp)
	}
	if s.Prefix.Bits() < 31 { // the network itself and its broadcast address
		p.mark(number(s.Prefix.Masked().Addr()), true)
		p.mark(broadcast(s.Prefix), true)
	}
	for _, a := range append([]netip.Addr{s.Router, s.Server}, s.DNS...) {
		if a.Is4() {
			p.mark(number(a), true)
		}
	}
	return p, nil
}

func broadcast(p netip.Prefix) uint32 {
	return number(p.Masked().Addr()) | uint32(1<<(32-p.Bits())-1)
}

func (l *Leases) poolOf(a netip.Addr) *pool {
	for _, p := range l.pools {
		if p.Prefix.Contains(a) {
			return p
		}
	}
	return nil
}

// put enters a lease into the tables of its pool.
func (p *pool) put(e *entry) {
	p.mark(e.addr, true)
	if e.client == "" || e.state == LeaseConflict || e.state == LeaseDeclined {
		return
	}
	if old := p.byClient[e.client]; old == nil || old.end < e.end || old == e {
		p.byClient[e.client] = e
	}
}

// mark sets or clears the bit of an address; false: no range has it.
func (p *pool) mark(addr uint32, used bool) bool {
	found := false
	for i := range p.ranges {
		s := &p.ranges[i]
		if addr < s.first || addr-s.first >= s.size {
			continue
		}
		found = true
		n := addr - s.first
		if used {
			s.used[n/64] |= 1 << (n % 64)
		} else {
			s.used[n/64] &^= 1 << (n % 64)
			s.hint = min(s.hint, int(n/64))
		}
	}
	return found
}

func (p *pool) has(addr uint32) bool {
	for _, s := range p.ranges {
		if addr >= s.first && addr-s.first < s.size {
			return true
		}
	}
	return false
}

// take finds a free bit and sets it.
func (p *pool) take() (uint32, bool) {
	for i := range p.ranges {
		s := &p.ranges[i]
		for ; s.hint < len(s.used); s.hint++ {
			if w := s.used[s.hint]; w != ^uint64(0) {
				bit := bits.TrailingZeros64(^w)
				s.used[s.hint] |= 1 << bit
				return s.first + uint32(s.hint*64+bit), true
			}
		}
	}
	return 0, false
}

// oldest finds the lease that ended longest ago, for a pool without a free
// address. A pool that is full is looked through only when a lease can have
// ended since the last time.
func (l *Leases) oldest(p *pool, now time.Duration) *entry {
	if now < p.noExpiry {
		return nil
	}
	var best *entry
	next := now + time.Hour
	for i := range p.ranges {
		s := &p.ranges[i]
		for n := range s.size {
			e := l.byAddr[s.first+n]
			switch {
			case e == nil || e.checking:
			case e.live(now):
				next = min(next, e.end)
			case best == nil || e.end < best.end:
				best = e
			}
		}
	}
	if best == nil {
		p.noExpiry = next
	}
	return best
}
