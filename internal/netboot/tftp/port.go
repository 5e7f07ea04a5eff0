package tftp

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// port is one socket that answers, and the transfers that it carries.
type port struct {
	e      *engine
	c      conn
	single bool // it is also the one that is asked

	mu        sync.Mutex
	transfers map[netip.AddrPort]*transfer
}

func (e *engine) newPort(c conn, single bool) *port {
	return &port{e: e, c: c, single: single, transfers: map[netip.AddrPort]*transfer{}}
}

// run reads acknowledgements until the socket is closed.
func (p *port) run() {
	in := make([]packet, batch)
	out := outbox{first: p.e.First}
	for {
		n, err := p.c.read(in)
		if err != nil {
			return
		}
		out.reset()
		for _, m := range in[:n] {
			p.receive(m, &out)
		}
		_ = p.c.write(out.packets)
	}
}

// receive takes one packet. What belongs to no transfer, such as a late
// acknowledgement of one that is over, is dropped: an error in answer to it
// could meet the client's next transfer.
func (p *port) receive(m packet, out *outbox) {
	p.mu.Lock()
	t := p.transfers[m.peer]
	if t == nil {
		p.mu.Unlock()
		return
	}
	s := t.receive(time.Now(), m.data, out)
	p.mu.Unlock()
	if s != running {
		p.e.end(t, s)
	}
}

// again repeats the answer to a request that came twice before it was
// acknowledged, and ignores one that was late on its way: the client is busy
// reading. A request that is another one, or comes from a client that fell
// silent, ends the transfer; the caller begins anew.
func (p *port) again(t *transfer, r request) bool {
	out := outbox{first: p.e.First}
	now := time.Now()
	p.mu.Lock()
	if p.transfers[t.client] != t {
		p.mu.Unlock()
		return false
	}
	same := t.asked.name == r.name && slices.Equal(t.asked.options, r.options)
	late := same && t.greeted && now.Sub(t.heard) < 2*p.e.First
	same = same && !t.greeted
	if same {
		t.sent = t.acked
		t.resend(now, &out)
	}
	s := aborted
	if !t.greeted && t.terms.sized {
		s = probed // its refusal of the rest was lost, or is behind the request
	}
	t.why = "the client asked anew"
	p.mu.Unlock()
	if !same && !late {
		p.e.end(t, s)
		return false
	}
	_ = p.c.write(out.packets)
	return true
}

// tick sends again, ends what is silent, and tells how far the others are.
func (p *port) tick() {
	now := time.Now()
	out := outbox{first: p.e.First}
	ended := map[*transfer]state{}
	p.mu.Lock()
	for _, t := range p.transfers {
		if s := t.tick(now, p.e.GiveUp, &out); s != running {
			ended[t] = s
		} else if now.Sub(t.told) >= time.Second && t.acked > 0 {
			t.told = now
			p.e.progress(t)
		}
	}
	p.mu.Unlock()
	for t, s := range ended {
		p.e.end(t, s)
	}
	_ = p.c.write(out.packets)
}
