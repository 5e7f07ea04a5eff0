package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fleet"
)

// info is what the page must know before anything else.
func (s *Server) info(w http.ResponseWriter, r *http.Request) {
	a := s.o.Actions
	problem := ""
	if err := s.fleet.Err(); err != nil {
		problem = err.Error()
	}
	reply(w, map[string]any{"title": s.o.Title, "stages": fleet.Stages, "csrf": s.auth.csrf(w, r), "now": s.o.Now(), "problem": problem,
		"login":   s.auth.session(r) != nil,
		"actions": map[string]bool{"approve": a.Approve != nil, "reinstall": a.Reinstall != nil, "wake": a.Wake != nil}})
}

// machines lists all, or a page of them: ?q=text&state=stuck&offset=0&limit=100.
func (s *Server) machines(w http.ResponseWriter, r *http.Request) {
	rows := s.rows()
	q := strings.ToLower(r.URL.Query().Get("q"))
	want := r.URL.Query().Get("state")
	counts := map[string]int{}
	found := make([]Row, 0, len(rows))
	for _, row := range rows {
		counts[row.State]++
		if (want == "" || row.State == want) && (q == "" || matches(row, q)) {
			found = append(found, row)
		}
	}
	total := len(found)
	found = found[min(number(r, "offset", 0), total):]
	if limit := number(r, "limit", 0); limit > 0 {
		found = found[:min(limit, len(found))]
	}
	reply(w, map[string]any{"machines": found, "found": total, "all": len(rows), "states": counts})
}

func matches(r Row, q string) bool {
	for _, field := range append([]string{r.ID, r.Address, r.Definition, r.Stage, r.Problem}, r.Clients...) {
		if strings.Contains(strings.ToLower(field), q) {
			return true
		}
	}
	return false
}

func number(r *http.Request, name string, standard int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return standard
	}
	return n
}

// Detail is a machine's page.
type Detail struct {
	Row        Row             `json:"row"`
	Node       fleet.Node      `json:"node"`
	Why        fleet.Answer    `json:"why"`
	Boots      []fleet.Boot    `json:"boots"` // the latest first, without their events
	Console    []string        `json:"console"`
	Events     []fleet.Event   `json:"events"` // the latest of the last boot
	Grant      *fleet.Grant    `json:"grant,omitempty"`
	Hardware   json.RawMessage `json:"hardware,omitempty"`
	Definition string          `json:"definition,omitempty"`
	// Suggested is what an unknown machine could become.
	Suggested *fleet.Suggestion `json:"suggested,omitempty"`
}

const (
	keepBoots, keepConsole, keepEvents = 12, 200, 300
)

func (s *Server) machine(w http.ResponseWriter, r *http.Request) {
	n, events, ok := s.find(w, r)
	if !ok {
		return
	}
	now := s.o.Now()
	d := Detail{Row: s.row(&n, now), Node: n, Why: fleet.Why(n.ID, events, now), Console: []string{}, Boots: []fleet.Boot{}, Events: []fleet.Event{}}
	boots := fleet.Timeline(events)
	if len(boots) > 0 {
		last := boots[len(boots)-1].Events
		for _, e := range last {
			if e.Kind == fleet.KindConsole || e.Kind == fleet.KindNodeLog {
				d.Console = append(d.Console, e.Text)
			} else {
				d.Events = append(d.Events, e)
			}
		}
		d.Console = d.Console[max(0, len(d.Console)-keepConsole):]
		d.Events = d.Events[max(0, len(d.Events)-keepEvents):]
	}
	for i := len(boots) - 1; i >= 0 && len(d.Boots) < keepBoots; i-- {
		boots[i].Events = nil
		d.Boots = append(d.Boots, boots[i])
	}
	if g, err := s.fleet.Grant(r.Context(), n.ID); err == nil {
		g.ID = "" // it opens a disk
		d.Grant = &g
	}
	if n.Inventory {
		d.Hardware, _ = s.fleet.Inventory(r.Context(), n.ID)
	}
	if suggest := s.o.Actions.Suggest; suggest != nil && n.Inventory && n.Name == "" {
		d.Suggested, _ = suggest(r.Context(), n.ID)
	}
	if define := s.o.Actions.Definition; define != nil && n.Name != "" {
		if text, err := define(r.Context(), n.ID); err == nil {
			d.Definition = text
		}
	}
	reply(w, d)
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) (fleet.Node, []fleet.Event, bool) {
	id := r.PathValue("id")
	n, ok := s.fleet.Node(id)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("no machine is called %q", id))
		return n, nil, false
	}
	events, err := s.fleet.Events(r.Context(), n.ID, time.Time{}, 0)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return n, nil, false
	}
	for i := range events {
		if events[i].Kind == fleet.KindGrant {
			delete(events[i].Fields, "id")
		}
	}
	return n, events, true
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if _, events, ok := s.find(w, r); ok {
		if limit := number(r, "limit", 0); limit > 0 && len(events) > limit {
			events = events[len(events)-limit:]
		}
		if events == nil {
			events = []fleet.Event{}
		}
		reply(w, events)
	}
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	if n, events, ok := s.find(w, r); ok {
		reply(w, fleet.Why(n.ID, events, s.o.Now()))
	}
}

// act starts an action. It needs the page's token: another site cannot read it.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	if !s.auth.checkCSRF(r) {
		fail(w, http.StatusForbidden, errors.New("the request does not come from this page: load it again"))
		return
	}
	id := r.PathValue("id")
	n, ok := s.fleet.Node(id)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("no machine is called %q", id))
		return
	}
	var do func(context.Context, string) error
	switch r.PathValue("action") {
	case "approve":
		if approve := s.o.Actions.Approve; approve != nil {
			do = func(ctx context.Context, id string) error { return approve(ctx, id, r.URL.Query().Get("name")) }
		}
	case "reinstall":
		do = s.o.Actions.Reinstall
	case "wake":
		do = s.o.Actions.Wake
	}
	if do == nil {
		fail(w, http.StatusNotFound, fmt.Errorf("%q cannot be done here", r.PathValue("action")))
		return
	}
	if err := do(r.Context(), n.ID); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, map[string]bool{"ok": true})
}

// sameOrigin says whether a browser's request comes from a page of ours.
func sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}
