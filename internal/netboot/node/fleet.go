package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"slipway/internal/fleet"
)

// InFleet keeps records where a fleet keeps its machines, and takes their
// grants from there. The zero value but for Fleet is ready; it is not copied.
type InFleet struct {
	Fleet *fleet.Fleet

	machines sync.Map // a mutex for each: a record is read and written by one at a time
}

var _ Records = (*InFleet)(nil)

// Update implements Records. The grant is kept first: one that the evidence has
// used up is never open again, whatever becomes of the rest.
func (f *InFleet) Update(ctx context.Context, machine string, change func(*Record) error) error {
	m, _ := f.machines.LoadOrStore(machine, new(sync.Mutex))
	m.(*sync.Mutex).Lock()
	defer m.(*sync.Mutex).Unlock()
	node, _ := f.Fleet.Node(machine)
	var after Record
	_, err := f.Fleet.ChangeGrant(ctx, machine, func(given *fleet.Grant) (*fleet.Grant, error) {
		after = Record{}
		if node.Extra != "" {
			if err := json.Unmarshal([]byte(node.Extra), &after); err != nil {
				return nil, fmt.Errorf("reading what is kept of %s: %w", machine, err)
			}
		}
		after.Machine = machine
		if given != nil {
			own := *given
			after.Grant = &own
		}
		if err := change(&after); err != nil {
			return nil, err
		}
		if after.Grant == nil || given != nil && *given == *after.Grant {
			return nil, nil
		}
		return after.Grant, nil
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(&after)
	if err != nil || string(data) == node.Extra {
		return err
	}
	return f.Fleet.Update(ctx, machine, func(n *fleet.Node) error {
		n.Extra, n.Good, n.Bad, n.Serving = string(data), after.Versions.Good, after.Versions.Bad, after.Versions.Trying
		if n.Serving == "" {
			n.Serving = n.Good
		}
		if after.Installed != nil {
			n.Installed, n.InstallAt = after.Installed.Version, after.Installed.Time
		}
		return nil
	})
}
