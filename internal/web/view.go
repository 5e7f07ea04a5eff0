package web

import (
	"fmt"
	"time"

	"slipway/internal/fleet"
)

// Row is a machine in the list: what the page shows of it at a glance.
type Row struct {
	ID         string     `json:"id"`
	Name       string     `json:"name,omitempty"`
	Definition string     `json:"definition,omitempty"`
	Mode       string     `json:"mode,omitempty"`
	State      string     `json:"state"` // proven, waiting, stuck, off, unknown
	Stage      string     `json:"stage,omitempty"`
	Rank       int        `json:"rank"` // of the stage, from 0; -1: none
	Address    string     `json:"address,omitempty"`
	Clients    []string   `json:"clients,omitempty"`
	Heard      *time.Time `json:"heard,omitempty"`
	Since      *time.Time `json:"since,omitempty"` // power-on
	Problem    string     `json:"problem,omitempty"`
	Text       string     `json:"text,omitempty"`
	What       string     `json:"what,omitempty"`
	Bytes      int64      `json:"bytes,omitempty"`
	Total      int64      `json:"total,omitempty"`
	Rate       float64    `json:"rate,omitempty"`
	Left       *float64   `json:"left,omitempty"` // seconds, expected
	ProbesOK   int        `json:"probes_ok"`
	Probes     int        `json:"probes"`
	Note       string     `json:"note,omitempty"` // what should be known beside the state
}

// stuckAfter is how long a machine on its way may be silent before the list
// calls it stuck; the page of the machine looks closer.
const stuckAfter = 3 * time.Minute

func (s *Server) row(n *fleet.Node, now time.Time) Row {
	r := Row{ID: n.ID, Name: n.Name, Definition: n.Definition, Mode: n.Mode, Stage: n.Stage, Rank: fleet.Rank(n.Stage), Address: n.Address,
		Clients: n.Clients, Problem: n.Problem, Text: n.Text, Probes: len(n.Probes)}
	if n.Passed != "" {
		r.Note = fmt.Sprintf("was given the last good version: %.12s did not prove itself", n.Passed)
	}
	if !n.LastHeard.IsZero() {
		r.Heard = &n.LastHeard
	}
	if !n.BootTime.IsZero() {
		r.Since = &n.BootTime
	}
	for _, p := range n.Probes {
		if p.OK {
			r.ProbesOK++
		}
	}
	if p := n.Progress; p != nil {
		r.What, r.Bytes, r.Total, r.Rate = p.What, p.Bytes, p.Total, p.Rate
	}
	r.State = state(n, r, now)
	if left, ok := s.fleet.Left(n.ID, now); ok && r.State == "waiting" {
		seconds := left.Seconds()
		r.Left = &seconds
	}
	return r
}

func state(n *fleet.Node, r Row, now time.Time) string {
	switch {
	case n.Stage == fleet.StageProven && n.Problem == "" && r.ProbesOK == r.Probes:
		return "proven"
	case n.Problem != "" || r.ProbesOK < r.Probes && n.Stage == fleet.StageProven:
		return "stuck"
	case n.Name == "":
		return "unknown"
	case n.Stage == "":
		return "off"
	case now.Sub(n.LastHeard) > stuckAfter:
		return "stuck"
	}
	return "waiting"
}

// rows are all machines.
func (s *Server) rows() []Row {
	now := s.o.Now()
	nodes := s.fleet.Nodes()
	rows := make([]Row, len(nodes))
	for i := range nodes {
		rows[i] = s.row(&nodes[i], now)
	}
	return rows
}
