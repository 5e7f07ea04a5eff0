package netboot

import (
	"maps"
	"net/http"
	"strings"
	"time"

	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// telling is the token with which a machine tells how it gets on, long after
// that of its boot has expired, and from whatever address it has then.
type telling struct{ word, machine string }

// tellGrace is how long after its time a machine is still heard.
const tellGrace = 24 * time.Hour

// tellToken makes it, one for each boot.
func (s *Server) tellToken(c boothttp.Call, m *Machine, within time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tells[c.Token]; t.machine == m.Name {
		return t.word
	}
	if c.Claim.Only != "" { // it tells already
		return c.Token
	}
	word := s.tokens.Mint(token.Claim{
		Client: c.Claim.Client, Xid: c.Claim.Xid, Machine: m.Name, UUID: c.Claim.UUID, Fields: maps.Clone(c.Claim.Fields),
		Expires: s.now().Add(within + tellGrace), Only: token.OnlyTell,
	})
	if s.tells == nil || len(s.tells) >= maxExchanges {
		s.tells = map[string]telling{}
	}
	s.tells[c.Token] = telling{word, m.Name}
	return word
}

// toldMachine is the name of the machine that a boot is of: what was found
// when its loader told all of itself, or what its address says.
func (s *Server) toldMachine(c boothttp.Call) string {
	s.mu.Lock()
	t := s.tells[c.Token]
	s.mu.Unlock()
	if t.machine != "" {
		return t.machine
	}
	if c.Claim.Only != "" {
		return c.Claim.Machine
	}
	facts := Facts{MAC: c.Claim.Client, UUIDs: []string{c.Claim.UUID}, Circuit: c.Claim.Fields["circuit"], Remote: c.Claim.Fields["remote"]}
	if m := s.roster().Find(facts); m != nil {
		return m.Name
	}
	return ""
}

// logsName is below /n/TOKEN/, for POST.
const logsName = "logs"

// fromMachines answers below /n/TOKEN/.
func (s *Server) fromMachines(w http.ResponseWriter, r *http.Request) {
	c := boothttp.CallOf(r)
	switch {
	case s.Logs != nil && strings.TrimSuffix(c.Name, "/") == logsName:
		s.Logs.Post(w, r, c.Claim.Client, c.Claim.Machine)
	case s.Node != nil:
		s.Node.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}
