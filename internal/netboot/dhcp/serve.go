package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// serverState is what a Server keeps while it serves.
type serverState struct {
	clients  clients
	ready    chan struct{}
	once     sync.Once
	mu       sync.Mutex
	rivals   map[string]time.Duration // when each was last reported
	said     map[string]time.Duration // problems of the server itself, for their pace
	heardAny time.Duration            // when another server was last heard; 0: never
	asked    bool                     // whether others were asked for
	storage  bool                     // the journal cannot be written
}

// begin fills in what was left out. It may be called more than once.
func (s *Server) begin() error {
	var err error
	s.state.once.Do(func() {
		s.Clock = s.Clock.system()
		s.state.clients.all = map[string]*client{}
		s.state.rivals, s.state.said = map[string]time.Duration{}, map[string]time.Duration{}
		if s.Leases == nil {
			s.Leases = newLeases(s.Clock)
		}
		if s.Recipes == nil {
			s.Recipes = MemoryRecipes()
		}
		if s.Policy == nil {
			err = errors.New("serving DHCP: there is no policy")
			return
		}
		if s.Mode == Full {
			if err = s.Leases.attach(s.Subnets); err != nil {
				err = fmt.Errorf("serving DHCP: %w", err)
			}
		}
	})
	return err
}

func (s *Server) readiness() chan struct{} {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.ready == nil {
		s.state.ready = make(chan struct{})
	}
	return s.state.ready
}

// Ready is closed when the server answers on all links.
func (s *Server) Ready() <-chan struct{} { return s.readiness() }

// Serve answers on all links until ctx ends. It returns an error when it
// cannot begin: no such interface, no address, a port that somebody holds (and
// who). A link that goes away later is waited for.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	if len(s.Links) == 0 {
		return errors.New("serving DHCP: there is no link to serve")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var links []*link
	defer func() {
		for _, l := range links {
			l.close()
		}
	}()
	for i := range s.Links {
		l := newLink(s, s.Links[i])
		links = append(links, l)
		if err := l.open(); err != nil {
			return fmt.Errorf("serving DHCP on %s: %w", l.cfg.Name, err)
		}
	}
	var all sync.WaitGroup
	for _, l := range links {
		all.Go(func() { l.serve(ctx) })
	}
	all.Go(func() { s.watchClock(ctx) })
	if s.Mode == Full {
		for _, l := range links {
			if p := s.Leases.poolAt(l.address()); p != nil {
				s.restock(p, l)
			}
		}
	}
	close(s.readiness())
	all.Wait()
	return nil
}

func (l *Leases) poolAt(a netip.Addr) *pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.poolOf(a)
}

// watchClock looks whether the wall clock was set.
func (s *Server) watchClock(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.lookAtClock()
		}
	}
}

func (s *Server) lookAtClock() {
	if d := s.Leases.jumped(); d != 0 {
		s.say(s.work(), "dhcp.clock", "", "", fmt.Sprintf("the server's clock was set by %s: leases keep the time that is left of them", d.Round(time.Second)))
	}
}

func (s *Server) now() time.Duration { return s.Clock.Mono() }

func (s *Server) recipes() *Recipes { return s.Recipes }

// work begins the handling of some packets.
func (s *Server) work() *work { return &work{wall: s.Clock.Wall(), now: s.Clock.Mono()} }

// wishAgain is the wish of a client whose first address was in use.
func (s *Server) wishAgain(r *Request, d *Decision, w *work, link *link) *wish {
	return &wish{client: r.Client, machine: d.Machine, hostname: r.Hostname, reserved: d.Address, noPool: d.NoPool, now: w.now,
		check: !s.NoConflictCheck && link.canAsk(),
		taken: func(a netip.Addr) bool { return a != d.Address && s.Policy.Reserved(a) }}
}

// flush sends what may be sent at once, and the rest when its lines are
// durable: an acknowledged lease survives a crash.
func (s *Server) flush(w *work) {
	s.deliver(w.out, w.wall)
	if len(w.lines) == 0 {
		s.deliver(w.after, w.wall)
		return
	}
	if s.Leases.journal == nil {
		s.deliver(w.after, w.wall)
		return
	}
	s.Leases.journal.add(w.lines, func(err error) {
		s.stored(err, w)
		if err == nil {
			s.deliver(w.after, s.Clock.Wall())
		}
	})
}

// stored reports when the journal begins to fail, and when it works again.
func (s *Server) stored(err error, w *work) {
	s.state.mu.Lock()
	was := s.state.storage
	s.state.storage = err != nil
	s.state.mu.Unlock()
	switch {
	case err != nil && !was:
		s.say(w, "dhcp.storage", "", "", fmt.Sprintf("leases cannot be kept (%v): nobody gets or renews one until they can; make room on that disk", err))
	case err == nil && was && s.Events != nil:
		s.Events.Record(fleet.Event{Time: s.Clock.Wall(), Kind: "dhcp.storage", Text: "leases are kept again"})
	}
}

// deliver sends answers and records them.
func (s *Server) deliver(out []outgoing, wall time.Time) {
	if len(out) == 0 {
		return
	}
	sendAll(out)
	if s.Events == nil {
		return
	}
	for i := range out {
		s.Events.Record(out[i].note.event(wall))
	}
}

// say records a problem of the server or its network.
func (s *Server) say(w *work, kind, client, addr, problem string) {
	if s.Events != nil {
		s.Events.Record(fleet.Event{Time: w.wall, Kind: kind, Client: client, Address: addr, Problem: problem})
	}
}

// pace says whether something was not said for a while; the key is bounded by
// the callers.
func (s *Server) pace(key string, every time.Duration, now time.Duration) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	last, ok := s.state.said[key]
	if ok && now-last < every {
		return false
	}
	s.state.said[key] = now
	return true
}

func (s *Server) exhausted(p *pool, w *work) {
	if s.pace("exhausted "+p.Prefix.String(), 10*time.Second, w.now) {
		s.say(w, "dhcp.exhausted", "", "", "every address of the pool in "+p.Prefix.String()+" is taken: new machines get none; make the pool larger, or the leases shorter")
	}
}

// malformed reports a packet that is none, at most once a second.
func (s *Server) malformed(in *incoming, w *work, err error) {
	if s.pace("malformed", time.Second, w.now) {
		s.say(w, "dhcp.malformed", "", in.from.Addr().String(), fmt.Sprintf("a packet on port %d of %s that is not DHCP: %v", in.port, in.link.cfg.Name, err))
	}
}

// learn remembers what firmware understood.
func (s *Server) learn(firmware string, recipe Recipe, client string) {
	if firmware == "" || recipe == "" {
		return
	}
	before, _ := s.Recipes.of(firmware)
	if before == recipe {
		return
	}
	w := s.work()
	if err := s.Recipes.learn(firmware, recipe); err != nil {
		s.say(w, "dhcp.recipe", client, "", err.Error())
		return
	}
	if s.Events != nil {
		s.Events.Record(fleet.Event{Time: w.wall, Kind: "dhcp.recipe", Client: client, Text: "firmware of this make understands the answer called " + string(recipe),
			Fields: map[string]string{"recipe": string(recipe), "firmware": firmware}})
	}
}

// place says where a client asks from.
func (s *Server) place(r *Request, in *incoming) string {
	if r.Relay != nil && r.Relay.Link.IsValid() {
		return r.Relay.Link.String() + ", which a relay names"
	}
	if r.Relay != nil && r.Relay.Gateway.IsValid() {
		return "the relay " + r.Relay.Gateway.String()
	}
	return in.link.address().String() + " on " + in.link.cfg.Name
}
