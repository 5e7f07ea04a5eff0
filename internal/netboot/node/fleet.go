package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"slipway/internal/fleet"
)

// InFleet keeps records where a fleet keeps its machines. A grant that
// somebody gave there (slipway reinstall) is the record's, and the evidence
// that uses it up ends it there too.
type InFleet struct{ Fleet *fleet.Fleet }

var _ Records = InFleet{}

// Update implements Records.
func (f InFleet) Update(ctx context.Context, machine string, change func(*Record) error) error {
	given, err := f.Fleet.Grant(ctx, machine)
	if err != nil && !errors.Is(err, fleet.ErrNoGrant) {
		return err
	}
	var after Record
	err = f.Fleet.Update(ctx, machine, func(n *fleet.Node) error {
		r := Record{}
		if n.Extra != "" {
			if err := json.Unmarshal([]byte(n.Extra), &r); err != nil {
				return fmt.Errorf("reading what is kept of %s: %w", machine, err)
			}
		}
		r.Machine = machine
		r.adopt(given)
		if err := change(&r); err != nil {
			return err
		}
		data, err := json.Marshal(&r)
		if err != nil {
			return err
		}
		n.Extra, n.Good, n.Bad, n.Serving = string(data), r.Versions.Good, r.Versions.Bad, r.Versions.Trying
		if n.Serving == "" {
			n.Serving = n.Good
		}
		if r.Installed != nil {
			n.Installed, n.InstallAt = r.Installed.Version, r.Installed.Time
		}
		after = r
		return nil
	})
	if err != nil {
		return err
	}
	g := after.Grant
	if g == nil || g.ID != given.ID || given.State != fleet.Granted && given.State != fleet.InUse {
		return nil
	}
	if g.Used != nil {
		return f.Fleet.Consume(ctx, machine, g.ID, g.Evidence)
	}
	return nil
}

// adopt takes a grant over that was given elsewhere, and forgets one that was
// taken back there.
func (r *Record) adopt(g fleet.Grant) {
	switch {
	case g.ID == "":
	case (g.State == fleet.Granted || g.State == fleet.InUse) && (r.Grant == nil || r.Grant.ID != g.ID):
		r.Grant = &Grant{ID: g.ID, Made: g.Given, Reason: g.By}
	case g.State == fleet.Expired && r.Pending() && r.Grant.ID == g.ID:
		r.Grant.Used, r.Grant.Evidence = &g.Ended, "taken back"
	}
}
