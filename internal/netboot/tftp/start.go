package tftp

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"slipway/internal/fleet"
)

// start opens what a client asked for and sends the first packet of it.
func (e *engine) start(q Request, r request, avoid *port) {
	answer, err := e.Open(e.ctx, q)
	if err == nil && answer.File == nil {
		err = fs.ErrNotExist
	}
	if err == nil {
		answer.File = e.cache.hold(answer.File)
	}
	if err == nil && r.mode == "netascii" {
		file := answer.File
		answer.File, err = netascii(file)
		file.Close()
	}
	if err != nil {
		e.unreserve(q.Client)
		e.deny(q, answer, err)
		return
	}
	limit := e.MaxBlock
	if q.Client.Addr().Is6() && limit == ethernetIPv4 {
		limit = ethernetIPv6
	}
	size := answer.File.Size()
	t := newTransfer(time.Now(), answer.File, negotiate(r.options, size, limit))
	t.client, t.request, t.asked, t.answer = q.Client, q, r, answer
	if err := e.admit(t, avoid); err != nil {
		t.file.Close()
		e.unreserve(q.Client)
		e.deny(q, answer, err)
	}
}

// admit gives a transfer its port, not the one to avoid, and sends its first packet.
func (e *engine) admit(t *transfer, avoid *port) error {
	e.mu.Lock()
	p, err := e.portFor(t.request.Local, avoid)
	if err != nil || e.closed {
		e.mu.Unlock()
		return errors.Join(err, e.ctx.Err())
	}
	t.port = p
	if p.single {
		t.local = t.request.Local
	}
	delete(e.opening, t.client)
	e.active[t.client] = t
	told := e.checkProbe(t)
	e.mu.Unlock()
	e.began(t, told)

	out := outbox{first: e.First}
	p.mu.Lock()
	p.transfers[t.client] = t
	s := t.open(time.Now(), e.First, &out)
	p.mu.Unlock()
	if s != running {
		e.end(t, s)
	}
	_ = p.c.write(out.packets)
	select {
	case e.kick <- struct{}{}:
	default:
	}
	return nil
}

// checkProbe says what is wrong when a client was told another size before;
// e.mu is held.
func (e *engine) checkProbe(t *transfer) (problem string) {
	key := probe{t.client.Addr(), t.request.Name}
	before, ok := e.probes[key]
	delete(e.probes, key)
	if ok && before != t.size {
		return fmt.Sprintf("%s has %d bytes, the client was told %d before: loaders stop at such a mismatch", t.request.Name, t.size, before)
	}
	return ""
}

// end takes a transfer off its port and tells how it went.
func (e *engine) end(t *transfer, s state) {
	t.port.mu.Lock()
	mine := t.port.transfers[t.client] == t
	if mine {
		delete(t.port.transfers, t.client)
	}
	t.port.mu.Unlock()
	if !mine {
		return // someone else ended it
	}
	e.mu.Lock()
	if e.active[t.client] == t {
		delete(e.active, t.client)
	}
	e.leave(t.client)
	if s == probed && len(e.probes) < maxProbes {
		e.probes[probe{t.client.Addr(), t.request.Name}] = t.size
	}
	e.mu.Unlock()
	t.file.Close()
	e.ended(t, s)
}

// deny tells a client at once why it gets nothing.
func (e *engine) deny(q Request, a Answer, err error) {
	code, text := uint16(errOther), "the server could not open it"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, text = errNotFound, "no such file"
	case errors.Is(err, fs.ErrPermission):
		code, text = errAccess, "not for this client"
	}
	_ = e.asked.write([]packet{{appendError(nil, code, text), q.Client, q.Local}})
	problem := err.Error()
	if code == errNotFound {
		problem = fmt.Sprintf("%q is not there", printable(q.Name))
	}
	e.record(q, a, fleet.KindTFTPError, "", problem)
}
