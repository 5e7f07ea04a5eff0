// Package logs takes in what kernels and installers say: syslog by UDP
// (RFC 3164 and RFC 5424, read leniently) and lines that are posted by HTTP.
//
// It keeps nothing: every line becomes an event. Who said it is told by the
// address that it came from; that is no proof, so nothing is decided by it.
package logs

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"slipway/internal/fleet"
)

// Line is a message, taken apart as far as it can be.
type Line struct {
	Severity string // emerg, alert, crit, err, warning, notice, info, debug; empty: not said
	Host     string
	Program  string
	Text     string
}

var severities = [8]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

const (
	maxDatagram = 8 << 10
	maxText     = 2000
)

// Parse reads a message of syslog. It never fails: what it does not understand
// is the text.
func Parse(raw []byte) Line {
	s := printable(raw)
	var l Line
	rest, priority := priorityOf(s)
	if priority < 0 {
		l.Text = short(strings.TrimSpace(s))
		return l
	}
	l.Severity = severities[priority&7]
	if after, ok := strings.CutPrefix(rest, "1 "); ok {
		l.rfc5424(after)
	} else {
		l.rfc3164(rest)
	}
	l.Text, l.Host, l.Program = short(strings.TrimSpace(l.Text)), clip(l.Host, 255), clip(l.Program, 128)
	return l
}

// priorityOf reads "<13>"; -1: there is none (RFC 5424 section 6.2.1).
func priorityOf(s string) (rest string, n int) {
	if !strings.HasPrefix(s, "<") {
		return s, -1
	}
	end := strings.IndexByte(s[:min(len(s), 5)], '>')
	if end < 2 {
		return s, -1
	}
	for _, c := range s[1:end] {
		if c < '0' || c > '9' {
			return s, -1
		}
		n = 10*n + int(c-'0')
	}
	if n > 191 {
		return s, -1
	}
	return s[end+1:], n
}

// rfc5424 reads TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG.
func (l *Line) rfc5424(s string) {
	var words [5]string
	for i := range words {
		var ok bool
		if words[i], s, ok = strings.Cut(s, " "); !ok {
			l.Text = words[i]
			return
		}
	}
	l.Host, l.Program = dash(words[1]), dash(words[2])
	l.Text = strings.TrimPrefix(afterData(s), "\ufeff")
}

// afterData skips structured data: "-" or a row of [...] in which \] is no end.
func afterData(s string) string {
	if !strings.HasPrefix(s, "[") {
		return strings.TrimPrefix(s, "-")
	}
	quoted, inside := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '[' && !quoted:
			inside = true
		case c == ']' && !quoted:
			inside = false
		case c == ' ' && !inside:
			return s[i+1:]
		}
	}
	return ""
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// rfc3164 reads "Jan  2 15:04:05 host program[1]: text", of which senders leave
// out what they like.
func (l *Line) rfc3164(s string) {
	const stamp = "Jan _2 15:04:05"
	if len(s) > len(stamp) {
		if _, err := time.Parse(stamp, s[:len(stamp)]); err == nil {
			s = strings.TrimLeft(s[len(stamp):], " ")
			host, rest, ok := strings.Cut(s, " ")
			if ok && !strings.HasSuffix(host, ":") {
				l.Host, s = host, rest
			}
		}
	}
	tag, text, ok := strings.Cut(s, ": ")
	if ok && !strings.Contains(tag, " ") && tag != "" {
		l.Program, _, _ = strings.Cut(tag, "[")
		l.Text = text
		return
	}
	l.Text = s
}

// printable makes bytes text of one line: control characters and broken UTF-8
// are replaced.
func printable(raw []byte) string {
	s := strings.TrimRight(string(raw[:min(len(raw), maxDatagram)]), "\r\n\x00 ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '·'
		}
		return r
	}, s)
}

// short cuts on the border of a character.
func short(s string) string { return clip(s, maxText) }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Receiver makes events of syslog datagrams.
type Receiver struct {
	Sink fleet.Sink
	// Who says which machine has an address; nil: the address alone is told.
	Who func(netip.Addr) (client, machine string)
	// PerSecond bounds the lines of one address; default 200. What is more is
	// counted and said once a second.
	PerSecond int
	Now       func() time.Time

	mu      sync.Mutex
	second  int64
	seen    map[netip.Addr]int
	dropped map[netip.Addr]int
}

// maxSenders bounds the addresses that are counted in a second.
const maxSenders = 4096

// Serve reads from a socket until ctx ends.
func (r *Receiver) Serve(ctx context.Context, conn net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			continue
		}
		address, _ := netip.ParseAddrPort(from.String())
		r.Take(address.Addr().Unmap(), buffer[:n])
	}
}

// Take makes events of a message's lines.
func (r *Receiver) Take(from netip.Addr, raw []byte) {
	now := r.now()
	client, machine := "", ""
	if r.Who != nil {
		client, machine = r.Who(from)
	}
	for _, one := range strings.Split(string(raw[:min(len(raw), 256<<10)]), "\n") {
		l := Parse([]byte(one))
		if l.Text == "" || !r.admit(now, from) {
			continue
		}
		r.Sink.Record(Event(l, now, from.String(), client, machine))
	}
}

// Event is what a line is for the timeline.
func Event(l Line, now time.Time, from, client, machine string) fleet.Event {
	e := fleet.Event{Time: now, Client: client, Machine: machine, Address: from, Kind: fleet.KindNodeLog, Text: l.Text, Fields: map[string]string{}}
	for k, v := range map[string]string{fleet.FieldSeverity: l.Severity, fleet.FieldProgram: l.Program, "host": l.Host} {
		if v != "" {
			e.Fields[k] = v
		}
	}
	return e
}

// admit counts the lines of an address in this second.
func (r *Receiver) admit(now time.Time, from netip.Addr) bool {
	limit := r.PerSecond
	if limit <= 0 {
		limit = 200
	}
	r.mu.Lock()
	if s := now.Unix(); s != r.second || r.seen == nil {
		dropped := r.dropped
		r.second, r.seen, r.dropped = s, map[netip.Addr]int{}, map[netip.Addr]int{}
		r.mu.Unlock()
		for address, n := range dropped {
			client, machine := "", ""
			if r.Who != nil {
				client, machine = r.Who(address)
			}
			text := "lines of its log were left out: " + strconv.Itoa(n) + " in a second"
			r.Sink.Record(fleet.Event{Time: now, Client: client, Machine: machine, Address: address.String(), Kind: fleet.KindNodeLog, Text: text})
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if _, known := r.seen[from]; !known && len(r.seen) >= maxSenders {
		return false
	}
	if r.seen[from]++; r.seen[from] > limit {
		r.dropped[from]++
		return false
	}
	return true
}
