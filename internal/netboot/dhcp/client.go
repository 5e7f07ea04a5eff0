package dhcp

import (
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/internal/fleet"
)

// client is what the server remembers of one that boots, between its packets:
// which recipe it was given and whether that led anywhere.
type client struct {
	seen     time.Duration // monotonic, of the last packet
	firmware string        // its make
	recipe   Recipe        // of the last offer
	xid      uint32        // of the last offer
	tries    int           // offers since it last loaded anything
	waiting  bool          // firmware was offered a loader and has not come back as one
	chained  time.Duration // when an iPXE was given a loader; 0: never
	power    time.Duration // when its firmware was last heard
}

// clients is bounded: of too many, those not heard for longest are forgotten.
type clients struct {
	mu  sync.Mutex
	all map[string]*client
}

const maxClients = 1 << 16

// get returns the memory of a client, made when there is none. The mutex is
// held.
func (cs *clients) get(name string, now time.Duration) *client {
	c := cs.all[name]
	if c == nil {
		if len(cs.all) >= maxClients {
			cs.forget()
		}
		c = &client{}
		cs.all[name] = c
	}
	c.seen = now
	return c
}

// booting says whether a client was answered with something to boot.
func (cs *clients) booting(name string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.all[name] != nil
}

// forget drops one of some that the map happens to give first: near enough to
// the oldest, and it costs the same however many there are.
func (cs *clients) forget() {
	oldest, at, looked := "", time.Duration(0), 0
	for name, c := range cs.all {
		if oldest == "" || c.seen < at {
			oldest, at = name, c.seen
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(cs.all, oldest)
}

// stage is what a DISCOVER of iPXE is evidence of: that the loader runs which
// the firmware was offered, or that a machine with iPXE in its ROM was
// switched on.
func (cs *clients) stage(name string, now time.Duration) string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[name]
	if c != nil && (c.power != 0 && now-c.power < chainWindow || c.chainedBefore(now)) {
		return fleet.StageLoader
	}
	return fleet.StageFirmware
}

// firmwareOf names the make of a client's firmware: OUI, vendor class,
// architectures and the form of its UUID.
func firmwareOf(r *Request) string {
	b := make([]byte, 0, 96)
	hw := r.Packet.ClientHWAddr
	b = hex.AppendEncode(b, hw[:min(3, len(hw))])
	b = append(append(b, '|'), r.VendorClass...)
	for i, c := range r.ArchCodes {
		b = append(b, "|,"[min(i, 1)])
		b = strconv.AppendInt(b, int64(c), 10)
	}
	v := r.Packet.Options[optUUID]
	b = strconv.AppendInt(append(b, "|uuid"...), int64(len(v)), 10)
	if len(v) > 0 {
		b = strconv.AppendInt(append(b, ':'), int64(v[0]), 10)
	}
	return string(b)
}

// next chooses the recipe for a DISCOVER of firmware. The recipe that its make
// understood before, or else the first, comes first; each DISCOVER that shows
// that the last offer led nowhere takes the next one. Only one known to work
// is given a second chance.
func (c *client) next(firmware string, known Recipe, xid uint32, now time.Duration) Recipe {
	if c.firmware != firmware || !c.waiting {
		c.tries = 0
	}
	c.firmware, c.waiting, c.power, c.xid = firmware, true, max(now, 1), xid
	order := recipeOrder
	if known != "" {
		order = []Recipe{known, known}
		for _, r := range recipeOrder {
			if r != known {
				order = append(order, r)
			}
		}
	}
	c.recipe = order[c.tries%len(order)]
	c.tries++
	return c.recipe
}

// chainedBefore says whether an iPXE was given a loader, and none has come
// back since that could do without.
func (c *client) chainedBefore(now time.Duration) bool {
	return c.chained != 0 && now-c.chained < chainWindow
}

// Loaded is told when a client, named by its hardware address, has fetched the
// whole loader that it was offered, by TFTP or HTTP: its make of firmware
// understood the answer, and the next machine of that make is answered so at
// once.
func (s *Server) Loaded(name string) {
	s.state.clients.mu.Lock()
	c := s.state.clients.all[strings.ToLower(name)]
	if c == nil || !c.waiting {
		s.state.clients.mu.Unlock()
		return
	}
	c.waiting, c.tries = false, 0
	firmware, recipe := c.firmware, c.recipe
	s.state.clients.mu.Unlock()
	s.learn(firmware, recipe, name)
}
