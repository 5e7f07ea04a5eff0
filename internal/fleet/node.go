package fleet

import (
	"slices"
	"strings"
	"time"
)

// Node is what is known of one machine now. It follows from its events and
// from what the fleet's folder declares, and outlives the server.
type Node struct {
	ID         string   `json:"id"`                // its name, or its hardware address while unknown
	Name       string   `json:"name,omitempty"`    // empty: no definition matches it
	Clients    []string `json:"clients,omitempty"` // hardware addresses it spoke from, or that were declared
	Definition string   `json:"definition,omitempty"`
	Digest     string   `json:"digest,omitempty"` // of the definition
	Mode       string   `json:"mode,omitempty"`   // ram or install
	Firmware   string   `json:"firmware,omitempty"`

	Stage     string               `json:"stage,omitempty"`  // the furthest of this boot
	Stages    map[string]time.Time `json:"stages,omitempty"` // when each stage of this boot was first seen
	Boots     int                  `json:"boots,omitempty"`
	BootTime  time.Time            `json:"boot_time,omitzero"`
	LastHeard time.Time            `json:"last_heard,omitzero"`
	Address   string               `json:"address,omitempty"`
	Problem   string               `json:"problem,omitempty"`
	Cause     string               `json:"cause,omitempty"` // a Cause name, if the reporter knew it
	Text      string               `json:"text,omitempty"`  // the last line for people
	Progress  *Progress            `json:"progress,omitempty"`
	Probes    []Probe              `json:"probes,omitempty"`

	Serving   string    `json:"serving,omitempty"`   // version that this boot was given
	ServedAt  time.Time `json:"served_at,omitzero"`  // when
	Good      string    `json:"good,omitempty"`      // the last version that proved itself
	Bad       []string  `json:"bad,omitempty"`       // versions that did not, the latest last
	Passed    string    `json:"passed,omitempty"`    // the newest version, if this boot was given Good in its place
	OneTime   string    `json:"one_time,omitempty"`  // what the next boot shall do instead: install, rescue, memtest ...
	Installed string    `json:"installed,omitempty"` // version on its disk, by evidence
	Inventory bool      `json:"inventory,omitempty"` // its hardware is known: Fleet.Inventory has it
	Extra     string    `json:"extra,omitempty"`     // for the boot server: whatever else it must remember, as JSON
	InstallAt time.Time `json:"install_at,omitzero"` // when
}

// Progress is how far a transfer or an installation is.
type Progress struct {
	What  string    `json:"what"`
	Bytes int64     `json:"bytes"`
	Total int64     `json:"total,omitempty"`
	Rate  float64   `json:"rate,omitempty"` // bytes per second, smoothed
	Time  time.Time `json:"time"`
}

// Probe is the last result of a probe.
type Probe struct {
	Name    string    `json:"name"`
	OK      bool      `json:"ok"`
	Problem string    `json:"problem,omitempty"`
	Time    time.Time `json:"time"`
}

// maxProbes and maxClients bound what a hostile machine may add.
const (
	maxProbes  = 128
	maxClients = 16
)

// Rank is the place of a stage in Stages, or -1.
func Rank(stage string) int { return slices.Index(Stages, stage) }

// Clone returns a copy that shares nothing.
func (n *Node) Clone() Node {
	c := *n
	c.Clients, c.Bad, c.Probes = slices.Clone(n.Clients), slices.Clone(n.Bad), slices.Clone(n.Probes)
	if n.Stages != nil {
		c.Stages = make(map[string]time.Time, len(n.Stages))
		for k, v := range n.Stages {
			c.Stages[k] = v
		}
	}
	if n.Progress != nil {
		p := *n.Progress
		c.Progress = &p
	}
	return c
}

// apply takes an event into the node; e is its own and stage was inferred.
func (n *Node) apply(e Event) {
	if heard(e.Kind) {
		if e.Time.After(n.LastHeard) || n.LastHeard.Sub(e.Time) > clockStep {
			n.LastHeard = e.Time
		}
		if e.Address != "" && e.Address != "0.0.0.0" {
			n.Address = e.Address
		}
	}
	if e.Client != "" && !slices.Contains(n.Clients, e.Client) && len(n.Clients) < maxClients {
		n.Clients = append(n.Clients, e.Client)
	}
	stage := stageOf(e, Rank(n.Stage))
	if beginsBoot(e, stage, Rank(n.Stage), n.lastBootEvent()) {
		n.Boots++
		n.BootTime, n.Stage, n.Stages = e.Time, "", nil
		n.Problem, n.Cause, n.Progress, n.Probes = "", "", nil, nil
		n.Passed = ""
	}
	if stage != "" {
		n.reach(stage, e)
	}
	n.note(e)
}

// lastBootEvent is when this boot was last heard of.
func (n *Node) lastBootEvent() time.Time { return n.LastHeard }

func (n *Node) reach(stage string, e Event) {
	if n.Stages == nil {
		n.Stages = map[string]time.Time{}
	}
	if _, ok := n.Stages[stage]; !ok {
		n.Stages[stage] = e.Time
	}
	if Rank(stage) > Rank(n.Stage) {
		n.Stage = stage
		n.Progress = nil
		if e.Problem == "" {
			n.Problem, n.Cause = "", ""
		}
	}
	if stage == StageProven {
		if v := e.Fields[FieldVersion]; v != "" {
			n.Good = v
		} else if n.Serving != "" {
			n.Good = n.Serving
		}
	}
}

// note takes what is not a stage: problems, words, progress, probes.
func (n *Node) note(e Event) {
	if e.Problem != "" && e.Kind != KindRival {
		n.Problem, n.Cause = e.Problem, e.Fields[FieldCause]
	}
	if e.Text != "" {
		n.Text = e.Text
	}
	if e.Total > 0 || e.Kind == KindHTTPProgress || e.Kind == KindNodeProgress {
		n.progress(e)
	}
	if e.Kind == KindProbeOK || e.Kind == KindProbeFail {
		n.probe(Probe{e.Fields[FieldProbe], e.Kind == KindProbeOK, e.Problem, e.Time})
	}
	if e.Kind == KindBack {
		n.Passed = e.Fields[FieldPassed]
	}
	if e.Kind == KindInstallDone {
		n.Installed, n.InstallAt = e.Fields[FieldVersion], e.Time
	}
}

func (n *Node) progress(e Event) {
	what := e.Fields[FieldFile]
	if what == "" {
		what = e.Text
	}
	p := &Progress{What: what, Bytes: e.Bytes, Total: e.Total, Time: e.Time}
	if old := n.Progress; old != nil && old.What == what && e.Bytes >= old.Bytes {
		p.Rate = old.Rate
		if dt := e.Time.Sub(old.Time).Seconds(); dt > 0.02 {
			now := float64(e.Bytes-old.Bytes) / dt
			if p.Rate == 0 {
				p.Rate = now
			}
			p.Rate = 0.7*p.Rate + 0.3*now
		} else if dt <= 0.02 && e.Bytes != e.Total {
			return // too close to tell a rate
		}
	}
	n.Progress = p
}

func (n *Node) probe(p Probe) {
	for i := range n.Probes {
		if n.Probes[i].Name == p.Name {
			n.Probes[i] = p
			return
		}
	}
	if len(n.Probes) < maxProbes {
		n.Probes = append(n.Probes, p)
	}
}

// heard says whether an event is something the machine itself did; what we
// sent, or did to it, is no sign of life.
func heard(kind string) bool {
	switch kind {
	case KindOffer, KindRival, KindGrant, KindWake, KindPower, KindServer, KindExhausted:
		return false
	}
	return true
}

// isFirmware says whether a DHCP packet comes from a machine's firmware, as
// opposed to a loader of ours or an operating system.
func isFirmware(e Event) bool {
	class := e.Fields[FieldVendorClass]
	return (strings.HasPrefix(class, "PXEClient") || strings.HasPrefix(class, "HTTPClient")) && !isIPXE(e)
}

func isIPXE(e Event) bool { return strings.Contains(strings.ToLower(e.Fields[FieldUserClass]), "ipxe") }

// stageOf is the stage that an event is evidence of. Where the server left it
// open, a plain DHCP request of a machine whose kernel was taken is its own.
func stageOf(e Event, rank int) string {
	if e.Stage != "" {
		if Rank(e.Stage) < 0 {
			return ""
		}
		if e.Stage == StageFirmware && isIPXE(e) {
			return ""
		}
		return e.Stage
	}
	if e.Kind == KindDiscover || e.Kind == KindRequest {
		if isFirmware(e) && e.Kind == KindDiscover {
			return StageFirmware
		}
		if !isFirmware(e) && !isIPXE(e) && rank >= Rank(StageKernel) {
			return StageNetwork
		}
	}
	return ""
}

// silence after which a first packet is a new power-on even if nothing had
// been reached: firmware gives up after about a minute.
const silence = 3 * time.Minute

// beginsBoot says whether an event of that stage begins another power-on.
func beginsBoot(e Event, stage string, rank int, last time.Time) bool {
	at := Rank(stage)
	if at < 0 {
		return false
	}
	switch {
	case rank < 0:
		return true
	case at <= Rank(StageDHCP) && e.Time.Sub(last) > silence && !last.IsZero():
		return true
	case at == Rank(StageFirmware):
		return rank >= Rank(StageScript)
	case at <= Rank(StageScript):
		return rank >= Rank(StageInit)
	case at == Rank(StageInit) && e.Problem != "": // it asks again, for what it did before failed
		return false
	case at == Rank(StageInit):
		return rank >= Rank(StageLogin) || rank == Rank(StageInstall)
	}
	return false
}
