package dhcp

import (
	"sync"
	"time"
)

// The conflict check: before an address of a pool is offered to somebody new,
// the network is asked whether it is in use (RFC 2131, 3.1; RFC 5227 for the
// form of the question). So that nobody has to wait for it, some addresses are
// asked for ahead of time.
const (
	// checkedFor is how long silence counts.
	checkedFor = time.Minute
	// answerTime is how long an answer is waited for: a LAN needs a
	// millisecond, and firmware asks again after four seconds.
	answerTime = 150 * time.Millisecond
	// routedTime is the same where the answer comes through routers.
	routedTime = 400 * time.Millisecond
	// stock is how many addresses are asked for ahead: a hall of machines that
	// is switched on finds them all. It is filled again when the rush is over,
	// restTime later, or at once when a quarter is left.
	stock    = 2048
	restTime = 300 * time.Millisecond
	// askPace is how many questions are sent at once, with a rest after them.
	askPace = 128
	askRest = 5 * time.Millisecond
)

// asker asks the network on one link.
type asker struct {
	send func(addr uint32, routed bool) error

	mu      sync.Mutex
	waiting map[uint32]*question
}

// question is one address that is asked for.
type question struct {
	by string // who answered; empty: nobody yet
}

func newAsker(send func(uint32, bool) error) *asker {
	return &asker{send: send, waiting: map[uint32]*question{}}
}

// heard is told by the link's ears who uses an address.
func (a *asker) heard(addr uint32, by string) {
	a.mu.Lock()
	if q := a.waiting[addr]; q != nil && q.by == "" {
		q.by = by
	}
	a.mu.Unlock()
}

// ask asks for addresses and calls then, from another goroutine, with those
// that were answered for.
func (a *asker) ask(addrs []uint32, routed bool, then func(inUse map[uint32]string)) {
	a.mu.Lock()
	for _, addr := range addrs {
		if a.waiting[addr] == nil {
			a.waiting[addr] = &question{}
		}
	}
	a.mu.Unlock()
	go func() {
		for i, addr := range addrs {
			if i%askPace == askPace-1 {
				time.Sleep(askRest)
			}
			a.send(addr, routed) // a question that cannot be sent is one without an answer
		}
		wait := answerTime
		if routed {
			wait = routedTime
		}
		time.Sleep(wait)
		inUse := map[uint32]string{}
		a.mu.Lock()
		for _, addr := range addrs {
			if q := a.waiting[addr]; q != nil && q.by != "" {
				inUse[addr] = q.by
			}
			delete(a.waiting, addr)
		}
		a.mu.Unlock()
		then(inUse)
	}()
}

// ask holds back an offer until the network was asked for its address; an
// address in use is noted, and the client gets the next.
func (s *Server) ask(r *Request, p *pool, d *Decision, e *entry, in *incoming, w *work) {
	l := s.Leases
	l.mu.Lock()
	waits := e.checking
	e.checking = true
	l.mu.Unlock()
	if waits {
		return // the client was impatient; its first question is still being answered
	}
	again := *in
	again.data = nil
	routed := s.routed(p, in.link)
	in.link.asker.ask([]uint32{e.addr}, routed, func(inUse map[uint32]string) {
		w := s.work()
		by, used := inUse[e.addr]
		l.mu.Lock()
		e.checking = false
		mine := e.client == r.Client && e.state == LeaseOffered
		l.mu.Unlock()
		switch {
		case used && by != r.Client:
			w.lines = l.conflict(p, e.addr, by, w.now)
			s.inUse(w, e.addr, by)
			s.discover(r, p, d, s.wishAgain(r, d, w, in.link), &again, w, s.event(r, "dhcp.discover").text("looked for another address"))
		case mine:
			s.offer(r, p, d, e, &again, w)
		}
		s.flush(w)
	})
	s.restock(p, in.link)
}

func (s *Server) inUse(w *work, n uint32, by string) {
	a := address(n).String()
	s.say(w, "dhcp.conflict", by, a, a+" is in use by "+by+", which has no lease: it is not offered; give the machine a reservation, or take the address out of the pool")
}

// restock fills the stock of a pool, now or when the rush is over.
func (s *Server) restock(p *pool, link *link) {
	if s.NoConflictCheck || !link.canAsk() {
		return
	}
	l := s.Leases
	now := s.now()
	l.mu.Lock()
	for len(p.ready) > 0 && now-p.ready[0].at > checkedFor { // silence of long ago says nothing
		p.mark(p.ready[0].addr, false)
		p.ready = p.ready[1:]
	}
	left := len(p.ready)
	if p.asking || left >= stock*3/4 {
		l.mu.Unlock()
		return
	}
	p.asking = true
	l.mu.Unlock()
	if left < stock/4 {
		s.askAhead(p, link)
		return
	}
	time.AfterFunc(restTime, func() { s.askAhead(p, link) })
}

// askAhead asks for as many addresses as the stock has room for.
func (s *Server) askAhead(p *pool, link *link) {
	l := s.Leases
	l.mu.Lock()
	var addrs []uint32
	for len(p.ready)+len(addrs) < stock {
		n, ok := p.take()
		if !ok {
			break
		}
		if s.Policy.Reserved(address(n)) {
			p.parked = append(p.parked, n)
			continue
		}
		addrs = append(addrs, n)
	}
	p.asking = len(addrs) > 0
	waiting := p.answered()
	l.mu.Unlock()
	if len(addrs) == 0 {
		call(waiting)
		return
	}
	link.asker.ask(addrs, s.routed(p, link), func(inUse map[uint32]string) {
		w := s.work()
		l.mu.Lock()
		p.asking = false
		for _, n := range addrs {
			if inUse[n] == "" && l.byAddr[n] == nil {
				p.ready = append(p.ready, checked{n, w.now})
			}
		}
		waiting := p.answered()
		l.mu.Unlock()
		for n, by := range inUse {
			w.lines = append(w.lines, l.conflict(p, n, by, w.now)...)
			s.inUse(w, n, by)
		}
		s.flush(w)
		call(waiting)
	})
}

// later calls again when the addresses that are being asked for are known: a
// small pool is asked for whole, and has none to give meanwhile. It says no
// when nothing is being asked, or when too many wait already.
func (l *Leases) later(p *pool, again func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.asking || len(p.waiting) >= stock {
		return false
	}
	p.waiting = append(p.waiting, again)
	return true
}

// answered hands over who waits, unless the answers are still out.
func (p *pool) answered() []func() {
	if p.asking {
		return nil
	}
	waiting := p.waiting
	p.waiting = nil
	return waiting
}

func call(waiting []func()) {
	for _, f := range waiting {
		f()
	}
}

// routed says whether a subnet is beyond a router: then ARP does not reach it.
func (s *Server) routed(p *pool, link *link) bool { return !p.Prefix.Contains(link.address()) }
