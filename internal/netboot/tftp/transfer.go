package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// state of a transfer after a packet or a tick.
type state int

const (
	running  state = iota
	complete       // the last block was acknowledged
	probed         // the client wanted the size alone
	aborted        // the client gave up
	failed         // we gave up: the file could not be read
	silent         // nothing was heard for too long
)

// A block that was sent may be sent again at once, without waiting for the
// clock, when an acknowledgement shows a gap in a window (RFC 7440, 4). But a
// network that doubles acknowledgements shows gaps that are none, and each
// would double what follows (RFC 1123, 4.2.3.1, the Sorcerer's Apprentice). So
// two acknowledged blocks earn one such repetition.
const earned = 2

// transfer is one file on its way to one client. Blocks are counted from 1
// without end; on the wire their low 16 bits are seen.
type transfer struct {
	port    *port // that carries it
	client  netip.AddrPort
	local   netip.Addr
	request Request
	asked   request
	file    File
	answer  Answer
	terms   terms

	size    int64
	last    int64 // number of the last block, which is shorter than the others
	acked   int64 // highest block that was acknowledged
	sent    int64 // highest block that was sent
	greeted bool  // the client answered at all: our options, or the first block

	began    time.Time
	heard    time.Time     // the last time that something new came
	due      time.Time     // when to send again
	wait     time.Duration // how long to wait next time
	retries  int
	credit   int // blocks that may be repeated at once, times earned
	repeated int64
	told     time.Time // of the last progress event
	why      string    // of an end that is no success
}

func newTransfer(now time.Time, file File, t terms) *transfer {
	size := file.Size()
	return &transfer{
		file: file, terms: t, size: size, last: size/int64(t.block) + 1,
		began: now, heard: now, told: now,
	}
}

// open sends what answers the request: the options, or the first block.
func (t *transfer) open(now time.Time, first time.Duration, out *outbox) state {
	t.wait = first
	if t.terms.timeout > 0 {
		t.wait = t.terms.timeout
	}
	return t.resend(now, out)
}

// receive takes a packet of the client.
func (t *transfer) receive(now time.Time, b []byte, out *outbox) state {
	if len(b) < 4 {
		return running
	}
	switch binary.BigEndian.Uint16(b) {
	case opAck:
		return t.acknowledge(now, binary.BigEndian.Uint16(b[2:]), out)
	case opError:
		code, text := parseError(b)
		t.why = fmt.Sprintf("the client gave up: %s (error %d)", text, code)
		if text == "" {
			t.why = fmt.Sprintf("the client gave up (error %d)", code)
		}
		// PXE ROMs and EDK2 ask for the size, read the options and stop there.
		if t.acked == 0 && t.terms.sized {
			return probed
		}
		return aborted
	}
	return running
}

func (t *transfer) acknowledge(now time.Time, wire uint16, out *outbox) state {
	ahead := int64(wire - uint16(t.acked))
	switch {
	case ahead == 0 && !t.greeted && len(t.terms.answer) > 0: // of our options
		t.greeted = true
		t.heard, t.retries = now, 0
		t.credit = t.terms.window * earned
		return t.window(now, out)
	case ahead > 0 && ahead <= t.sent-t.acked:
		t.greeted = true
		t.acked += ahead
		t.heard, t.retries = now, 0
		t.credit = min(t.credit+int(ahead), 2*t.terms.window*earned)
		if t.acked == t.last {
			return complete
		}
		if t.sent == t.acked {
			return t.window(now, out)
		}
	case ahead == 0 && t.terms.window > 1 && t.sent > t.acked:
	default: // doubled or late: never answered
		return running
	}
	// From an acknowledgement on, the client counts a whole window. What it may
	// miss of that is repeated, or else left to the clock.
	if again := int(t.sent-t.acked) * earned; t.credit >= again {
		t.credit -= again
		t.repeated += t.sent - t.acked
		t.sent = t.acked
	}
	return t.window(now, out)
}

// tick sends again what was not acknowledged in time, after ever longer
// waits, and gives up when nothing was heard for limit.
func (t *transfer) tick(now time.Time, limit time.Duration, out *outbox) state {
	if now.Sub(t.heard) >= limit {
		t.why = fmt.Sprintf("nothing was heard for %s", now.Sub(t.heard).Round(time.Second))
		return silent
	}
	if now.Before(t.due) {
		return running
	}
	t.retries++
	t.wait = min(t.wait*2, max(maxWait, t.terms.timeout))
	if t.greeted {
		t.repeated += t.sent - t.acked
	}
	t.sent = t.acked
	return t.resend(now, out)
}

const maxWait = 4 * time.Second

func (t *transfer) resend(now time.Time, out *outbox) state {
	if len(t.terms.answer) > 0 && !t.greeted {
		t.due = now.Add(t.wait)
		out.add(t.client, t.local, appendOACK(out.space(plainBlock+4), t.terms.answer))
		return running
	}
	return t.window(now, out)
}

// window sends blocks until a window of them is on its way.
func (t *transfer) window(now time.Time, out *outbox) state {
	if t.retries == 0 {
		t.wait = t.terms.timeout
		if t.wait == 0 {
			t.wait = out.first
		}
	}
	for t.sent < min(t.last, t.acked+int64(t.terms.window)) {
		b, err := t.block(out.space(t.terms.block+4), t.sent+1)
		if err != nil {
			t.why = err.Error()
			out.add(t.client, t.local, appendError(out.space(plainBlock), errOther, "the file cannot be read to its end"))
			return failed
		}
		out.add(t.client, t.local, b)
		t.sent++
		t.due = now.Add(t.wait)
	}
	return running
}

// block appends the packet of block n to b, which has room for it.
func (t *transfer) block(b []byte, n int64) ([]byte, error) {
	off := (n - 1) * int64(t.terms.block)
	want := int(min(int64(t.terms.block), t.size-off))
	b = appendHeader(b, opData, uint16(n))
	if want == 0 {
		return b, nil
	}
	got, err := t.file.ReadAt(b[4:4+want], off)
	if got < want {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: it has %d bytes, %d were announced", t.request.Name, off+int64(got), t.size)
		}
		return nil, fmt.Errorf("reading %s at byte %d: %w", t.request.Name, off, err)
	}
	return b[:4+want], nil
}

// received is how many bytes the client acknowledged.
func (t *transfer) received() int64 { return min(t.acked*int64(t.terms.block), t.size) }
