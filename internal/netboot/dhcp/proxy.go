package dhcp

import (
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// proxy answers beside a foreign DHCP server: offers without an address, to
// those who can boot (PXE 2.1, section 2.2.3).
func (s *Server) proxy(r *Request, in *incoming, w *work) {
	kind, known := requestKinds[r.Type]
	if !known || r.Kind == KindSystem {
		return
	}
	n := s.event(r, kind)
	forUs := r.Type == dhcpv4.MessageTypeDiscover || r.Type == dhcpv4.MessageTypeInform ||
		r.Type == dhcpv4.MessageTypeRequest && addrOf(r.Packet.Options[54]) == r.serverID()
	if !forUs {
		s.note(w, n) // it speaks to the other server; seen, and that is all
		return
	}
	d := s.Policy.Decide(r)
	n.machine = d.Machine
	if d.Ignore || d.Boot == nil {
		s.note(w, n.text("not answered: there is nothing to boot for it"))
		return
	}
	s.note(w, n)
	c := s.bootFor(r, &d)
	if c.file == "" {
		s.note(w, s.event(r, "dhcp.proxy").of(&d).boot(c).text("no offer: there is nothing to boot for it"))
		return
	}
	answerKind, event := dhcpv4.MessageTypeOffer, "dhcp.proxy"
	if r.Type != dhcpv4.MessageTypeDiscover {
		answerKind, event = dhcpv4.MessageTypeAck, "dhcp.ack"
	}
	a := answer(r, answerKind, r.serverID())
	a.ClientIPAddr = r.Packet.ClientIPAddr
	extra(a, d.Options)
	fillBoot(a, r, c, false)
	s.send(a, r, in, &w.out, s.event(r, event).of(&d).boot(c))
}

// bootServer answers on port 4011: a client that was offered a boot server
// asks it which file to load (PXE 2.1, section 2.2.5).
func (s *Server) bootServer(r *Request, in *incoming, w *work) {
	n := s.event(r, "dhcp.pxe")
	if r.Kind == KindSystem {
		return
	}
	switch r.Type {
	case dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform, dhcpv4.MessageTypeDiscover:
	default:
		return
	}
	d := s.Policy.Decide(r)
	n.machine = d.Machine
	if d.Ignore || d.Boot == nil {
		s.note(w, n.text("not answered: there is nothing to boot for it"))
		return
	}
	s.note(w, n)
	c := s.bootFor(r, &d)
	c.recipe = RecipeDirect
	if c.file == "" {
		s.note(w, s.event(r, "dhcp.ack").of(&d).boot(c).text("no answer: there is nothing to boot for it"))
		return
	}
	a := answer(r, dhcpv4.MessageTypeAck, r.Server)
	a.ClientIPAddr = r.Packet.ClientIPAddr
	extra(a, d.Options)
	fillBoot(a, r, c, false)
	if r.Kind == KindIPXE {
		delete(a.Options, optIPXE)
	}
	s.send(a, r, in, &w.out, s.event(r, "dhcp.ack").of(&d).boot(c))
}

// bootFor chooses what a client boots, and in which form it is told.
func (s *Server) bootFor(r *Request, d *Decision) chosen {
	if d.Boot == nil || r.Kind == KindSystem {
		return chosen{}
	}
	now := s.now()
	cs := &s.state.clients
	cs.mu.Lock()
	c := cs.get(r.Client, now)
	out := s.choose(r, d, c)
	out.recipe = RecipeDirect
	learned := Recipe("")
	firmware := ""
	switch {
	case r.Kind == KindIPXE:
		if c.waiting { // the loader runs: that is the best proof that the firmware took it
			c.waiting, c.tries = false, 0
			learned, firmware = c.recipe, c.firmware
		}
	case r.Kind == KindPXE && r.Port == serverPort && r.Type == dhcpv4.MessageTypeDiscover && out.file != "":
		firmware := firmwareOf(r)
		known, _ := s.recipes().of(firmware)
		out.recipe = c.next(firmware, known, r.XID, now)
	case r.Kind == KindPXE && c.recipe != "":
		out.recipe = c.recipe // the acknowledgement is like the offer
	}
	cs.mu.Unlock()
	if learned != "" {
		s.learn(firmware, learned, r.Client)
	}
	return out
}
