package dhcp

import (
	"net/netip"
	"time"
)

// offerTime is how long an address is held for a client that was offered it.
const offerTime = time.Minute

// declineTime is how long an address that somebody uses without a lease is
// left alone.
const declineTime = 10 * time.Minute

// wish is what is known when an address is looked for.
type wish struct {
	client   string
	machine  string
	hostname string
	reserved netip.Addr // zero: of a pool
	noPool   bool
	want     netip.Addr // what the client asks for
	now      time.Duration
	taken    func(netip.Addr) bool // belongs to another machine
	check    bool                  // addresses are to be checked for users
}

// found is the result of a search for an address.
type found struct {
	e     *entry
	check bool   // the network has to be asked before it is offered
	low   bool   // few addresses are left that were asked for ahead
	why   string // a problem that people should hear of
}

// offer finds an address for a client and holds it.
func (l *Leases) offer(p *pool, w *wish) (found, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out found
	if w.reserved.IsValid() {
		e, why := l.reserve(p, w)
		if e != nil {
			return found{e: l.hold(p, e, w)}, nil
		}
		out.why = why
	}
	if e := p.byClient[w.client]; e != nil && p.keeps(e, w) {
		out.check = w.check && !e.live(w.now)
		out.e = l.hold(p, e, w)
		return out, nil
	}
	if w.noPool {
		return out, errExhausted
	}
	if w.want.Is4() && !w.taken(w.want) {
		if n := number(w.want); p.has(n) && l.byAddr[n] == nil && p.free(n) {
			p.mark(n, true)
			out.e, out.check = l.hold(p, l.fresh(n), w), w.check
			return out, nil
		}
	}
	n, check, ok := p.nextReady(w, l)
	out.low = w.check && !p.asking && len(p.ready) < stock*3/4
	if !ok {
		e := l.oldest(p, w.now)
		if e == nil || w.taken(address(e.addr)) {
			return out, errExhausted
		}
		if p.byClient[e.client] == e {
			delete(p.byClient, e.client)
		}
		*e = entry{addr: e.addr}
		out.e, out.check = l.hold(p, e, w), w.check
		return out, nil
	}
	out.e, out.check = l.hold(p, l.fresh(n), w), check
	return out, nil
}

// reserve finds the entry of a reservation; nil: why it cannot be given now.
func (l *Leases) reserve(p *pool, w *wish) (*entry, string) {
	if !p.Prefix.Contains(w.reserved) {
		return nil, "its address " + w.reserved.String() + " is not in the network " + p.Prefix.String() + ", where it asks from"
	}
	n := number(w.reserved)
	e := l.byAddr[n]
	switch {
	case e == nil:
		p.mark(n, true)
		e = l.fresh(n)
	case e.client == w.client:
	case e.state == LeaseConflict || e.state == LeaseDeclined: // it is the machine's own, whoever uses it
	case e.live(w.now):
		return nil, "its address " + w.reserved.String() + " is leased to " + e.client + " until that lease ends"
	}
	if old := p.byClient[w.client]; old != nil && old != e && old.state == LeaseOffered {
		l.drop(p, old)
	}
	return e, ""
}

func (l *Leases) fresh(n uint32) *entry {
	e := &entry{addr: n}
	l.byAddr[n] = e
	return e
}

// hold makes an entry the client's, as an offer when it is not more already.
func (l *Leases) hold(p *pool, e *entry, w *wish) *entry {
	if e.client != w.client && p.byClient[e.client] == e {
		delete(p.byClient, e.client)
	}
	if e.client != w.client || e.state != LeaseActive || !e.live(w.now) {
		e.state, e.end = LeaseOffered, w.now+offerTime
		e.start = l.clock.Wall().Unix()
	}
	if old := p.byClient[w.client]; old != nil && old != e && old.state == LeaseActive {
		e.moved = old
	}
	e.client, e.machine = w.client, w.machine
	if w.hostname != "" {
		e.hostname = w.hostname
	}
	p.byClient[w.client] = e
	return e
}

// keeps says whether a client's last address may be its next one.
func (p *pool) keeps(e *entry, w *wish) bool {
	if e.state == LeaseDeclined || e.state == LeaseConflict {
		return false
	}
	a := address(e.addr)
	return p.has(e.addr) && !w.noPool && !w.taken(a)
}

func (p *pool) free(n uint32) bool {
	for _, s := range p.ranges {
		if n >= s.first && n-s.first < s.size {
			i := n - s.first
			return s.used[i/64]&(1<<(i%64)) == 0
		}
	}
	return false
}

// nextReady takes a free address, if possible one that nobody has answered for
// lately.
func (p *pool) nextReady(w *wish, l *Leases) (n uint32, check, ok bool) {
	for len(p.ready) > 0 {
		c := p.ready[0]
		p.ready = p.ready[1:]
		if l.byAddr[c.addr] != nil || w.taken(address(c.addr)) {
			continue
		}
		return c.addr, w.check && w.now-c.at > checkedFor, true
	}
	for {
		n, ok := p.take()
		if !ok {
			break
		}
		if !w.taken(address(n)) {
			return n, w.check, true
		}
		p.parked = append(p.parked, n)
	}
	// Reservations may have gone since they were passed over.
	for i, n := range p.parked {
		if l.byAddr[n] == nil && !w.taken(address(n)) {
			p.parked = append(p.parked[:i], p.parked[i+1:]...)
			return n, w.check, true
		}
	}
	return 0, false, false
}

// drop gives up what was only offered.
func (l *Leases) drop(p *pool, e *entry) {
	if p.byClient[e.client] == e {
		delete(p.byClient, e.client)
	}
	if l.byAddr[e.addr] == e {
		delete(l.byAddr, e.addr)
	}
	p.mark(e.addr, false)
	p.noExpiry = 0
}

// refuse forgets the offer of a client that took another server's.
func (l *Leases) refuse(p *pool, client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := p.byClient[client]; e != nil && e.state == LeaseOffered && !e.checking {
		l.drop(p, e)
	}
}

// confirm makes a lease of the address that a client asks for, and appends its
// line. why is the reason of a refusal.
func (l *Leases) confirm(p *pool, w *wish, lease time.Duration, lines []byte) (out []byte, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := number(w.want)
	if !p.Prefix.Contains(w.want) {
		return lines, w.want.String() + " is not in the network " + p.Prefix.String()
	}
	e := l.byAddr[n]
	other := e != nil && e.client != w.client && e.live(w.now)
	switch {
	case w.reserved == w.want:
		if other && e.state != LeaseConflict && e.state != LeaseDeclined {
			return lines, w.want.String() + " is leased to " + e.client
		}
	case w.reserved.IsValid() && p.Prefix.Contains(w.reserved) && !l.held(w.reserved, w):
		return lines, "its address is " + w.reserved.String()
	case w.noPool:
		return lines, "it has no reservation"
	case w.taken(w.want):
		return lines, w.want.String() + " belongs to another machine"
	case other && (e.state == LeaseConflict || e.state == LeaseDeclined):
		return lines, w.want.String() + " is in use by a machine without a lease"
	case other:
		return lines, w.want.String() + " is leased to " + e.client
	case !p.has(n):
		return lines, w.want.String() + " is in no pool"
	case e == nil && !p.free(n) && !p.isReady(n):
		return lines, w.want.String() + " is not given out"
	}
	if e == nil {
		p.mark(n, true)
		e = l.fresh(n)
	}
	if old := p.byClient[w.client]; old != nil && old != e && old.state == LeaseOffered {
		l.drop(p, old)
	}
	wall := l.clock.Wall()
	if e.client != w.client || e.state != LeaseActive {
		e = l.hold(p, e, w)
		e.start = wall.Unix()
	}
	l.hold(p, e, w)
	if old := e.moved; old != nil && old.client == w.client && old.state == LeaseActive { // its old address is free again
		old.state, old.end = LeaseReleased, min(old.end, w.now)
		lines = old.appendLine(lines, w.now, wall)
		p.noExpiry = 0
	}
	e.state, e.end, e.checking, e.moved = LeaseActive, w.now+lease, false, nil
	return e.appendLine(lines, w.now, wall), ""
}

// held says whether another client has a lease of the address.
func (l *Leases) held(a netip.Addr, w *wish) bool {
	e := l.byAddr[number(a)]
	return e != nil && e.client != w.client && e.state == LeaseActive && e.live(w.now)
}

func (p *pool) isReady(n uint32) bool {
	for _, c := range p.ready {
		if c.addr == n {
			return true
		}
	}
	return false
}

// end ends a lease: released by its client, or declined by it because
// somebody else uses the address. false: it had no such lease.
func (l *Leases) finish(p *pool, client string, a netip.Addr, state LeaseState, now time.Duration, lines []byte) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byAddr[number(a)]
	if e == nil || e.client != client || e.state != LeaseActive && e.state != LeaseOffered {
		return lines, false
	}
	e.state, e.end = state, now
	if state == LeaseDeclined {
		e.end = now + declineTime
		if p.byClient[client] == e {
			delete(p.byClient, client)
		}
	}
	p.noExpiry = 0
	return e.appendLine(lines, now, l.clock.Wall()), true
}

// conflict notes that an address which was to be offered is in use.
func (l *Leases) conflict(p *pool, n uint32, by string, now time.Duration) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byAddr[n]
	if e == nil {
		e = l.fresh(n)
	}
	if p.byClient[e.client] == e {
		delete(p.byClient, e.client)
	}
	p.mark(n, true)
	wall := l.clock.Wall()
	*e = entry{addr: n, state: LeaseConflict, client: by, start: wall.Unix(), end: now + declineTime}
	return e.appendLine(nil, now, wall)
}
