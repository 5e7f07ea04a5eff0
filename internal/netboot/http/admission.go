package http

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Admission has a storm of machines served in turn: as many at once as a link
// can feed, so that each is fast and none times out, and the others are told
// when to come back (503 with Retry-After, RFC 9110, 10.2.3). Only clients that
// are known to come back are sent away: iPXE and our own programs.
type Admission struct {
	Transfers int   // at once on a link; 0: no limit
	Bytes     int64 // that may be under way on a link; 0: no limit. One transfer always fits
	Small     int64 // what is not longer is never made to wait; 256 KiB

	// Link names the link of a request. Nil: our address that was asked.
	Link func(local, from netip.Addr) string

	mu    sync.Mutex
	links map[string]*link
}

// link is a bottleneck that transfers share.
type link struct {
	transfers int
	bytes     int64   // that are still to be sent
	waiting   int     // sent away since the last one left
	rate      float64 // bytes a second, lately
	counted   int64
	since     time.Time
}

// place is a transfer that was let in. A nil place is one that needs none.
type place struct {
	a    *Admission
	l    *link
	left int64
}

const maxLinks = 1024

// enter lets a transfer in (a place, or nothing to wait for), or says when to
// come back.
func (a *Admission) enter(local, from netip.Addr, size int64, patient bool) (*place, time.Duration) {
	if a == nil || size <= or(a.Small, 256<<10) {
		return nil, 0
	}
	name := local.String()
	if a.Link != nil {
		name = a.Link(local, from)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.links[name]
	if l == nil {
		if len(a.links) >= maxLinks {
			return nil, 0
		}
		if a.links == nil {
			a.links = map[string]*link{}
		}
		l = &link{since: time.Now()}
		a.links[name] = l
	}
	full := a.Transfers > 0 && l.transfers >= a.Transfers || a.Bytes > 0 && l.transfers > 0 && l.bytes+size > a.Bytes
	if full && patient {
		l.waiting++
		return nil, l.turn(size)
	}
	l.transfers++
	l.bytes += size
	l.waiting = max(l.waiting-1, 0)
	return &place{a, l, size}, 0
}

// turn guesses when there will be room: what is under way must be sent, and
// those who came before have to be served too.
func (l *link) turn(size int64) time.Duration {
	rate := max(l.rate, 10<<20)
	ahead := float64(l.bytes)/float64(max(l.transfers, 1)) + float64(l.waiting-1)*float64(size)
	wait := time.Duration(ahead / rate * float64(time.Second)).Round(time.Second)
	return min(max(wait, time.Second), time.Minute)
}

// sent counts bytes, and from them how fast the link is.
func (p *place) sent(n int64) {
	if p == nil {
		return
	}
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	n = min(n, p.left)
	p.left -= n
	p.l.bytes -= n
	p.l.counted += n
	if took := time.Since(p.l.since).Seconds(); took >= 0.5 {
		now := float64(p.l.counted) / took
		if p.l.rate == 0 {
			p.l.rate = now
		}
		p.l.rate = 0.7*p.l.rate + 0.3*now
		p.l.counted, p.l.since = 0, time.Now()
	}
}

func (p *place) leave() {
	if p == nil {
		return
	}
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.l.transfers--
	p.l.bytes -= p.left
	p.left = 0
}

// patient says whether a client comes back when it is told to: iPXE does
// (net/tcp/httpcore.c), EDK2 and the installers' wget and curl give up.
func patient(r *http.Request) bool {
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "iPXE/") || strings.HasPrefix(agent, "slipway")
}
