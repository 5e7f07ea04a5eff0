package qemu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Snapshot keeps the whole state of the machine, memory and disks, under a
// name in its first qcow2 disk. Disks that are raw and writable cannot be kept.
func (v *VM) Snapshot(ctx context.Context, name string) error {
	return v.snapshotJob(ctx, "snapshot-save", name)
}

// Restore takes the machine back to a snapshot.
func (v *VM) Restore(ctx context.Context, name string) error {
	return v.snapshotJob(ctx, "snapshot-load", name)
}

// DeleteSnapshot forgets a snapshot.
func (v *VM) DeleteSnapshot(ctx context.Context, name string) error {
	return v.snapshotJob(ctx, "snapshot-delete", name)
}

// SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Name   string
	Taken  time.Time
	Memory int64 // bytes that the state of the machine takes beside its disks
}

// Snapshots lists the snapshots in the order of their making.
func (v *VM) Snapshots(ctx context.Context) ([]SnapshotInfo, error) {
	disks, err := v.snapshotDisks()
	if err != nil {
		return nil, err
	}
	return v.snapshotsIn(ctx, disks[0])
}

// snapshotDisks are the nodes of the disks that a snapshot is kept in.
func (v *VM) snapshotDisks() ([]string, error) {
	var nodes []string
	for i, d := range v.config.Disks {
		if d.Format == "qcow2" && !d.ReadOnly {
			nodes = append(nodes, diskNode(i))
		} else if !d.ReadOnly {
			return nil, fmt.Errorf("machine %s: disk %d is raw, so that no snapshot can be kept; put a qcow2 overlay over it", v.Name, i+1)
		}
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("machine %s: there is no qcow2 disk to keep a snapshot in", v.Name)
	}
	return nodes, nil
}

func (v *VM) snapshotJob(ctx context.Context, command, name string) error {
	nodes, err := v.snapshotDisks()
	if err != nil {
		return err
	}
	// A load that fails leaves no machine behind, and QEMU deletes what is not there.
	if err := v.checkSnapshot(ctx, nodes[0], name, command != "snapshot-save"); err != nil {
		return err
	}
	v.mu.Lock()
	v.jobs++
	id := fmt.Sprintf("job%d", v.jobs)
	v.mu.Unlock()
	arguments := map[string]any{"job-id": id, "tag": name, "devices": nodes}
	if command != "snapshot-delete" {
		arguments["vmstate"] = nodes[0]
	}
	if err := v.QMP.Run(ctx, command, arguments, nil); err != nil {
		return err
	}
	if err := v.job(ctx, id); err != nil {
		return fmt.Errorf("machine %s: %s %s: %w", v.Name, command, name, err)
	}
	if command == "snapshot-load" { // which leaves the guest stopped
		return v.Continue(ctx)
	}
	return nil
}

// checkSnapshot wants a snapshot to be there, or not to be.
func (v *VM) checkSnapshot(ctx context.Context, node, name string, want bool) error {
	list, err := v.snapshotsIn(ctx, node)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(list))
	for _, s := range list {
		names = append(names, s.Name)
	}
	switch have := slices.Contains(names, name); {
	case have && !want:
		return fmt.Errorf("machine %s: there is a snapshot %q already; delete it first, or take another name", v.Name, name)
	case !have && want:
		return fmt.Errorf("machine %s: there is no snapshot %q; there are %q", v.Name, name, names)
	}
	return nil
}

func (v *VM) snapshotsIn(ctx context.Context, node string) ([]SnapshotInfo, error) {
	var nodes []struct {
		Name  string `json:"node-name"`
		Image struct {
			Snapshots []struct {
				Name    string
				Size    int64 `json:"vm-state-size"`
				Seconds int64 `json:"date-sec"`
				Nanos   int64 `json:"date-nsec"`
			}
		}
	}
	if err := v.QMP.Run(ctx, "query-named-block-nodes", nil, &nodes); err != nil {
		return nil, err
	}
	list := []SnapshotInfo{}
	for _, n := range nodes {
		if n.Name != node {
			continue
		}
		for _, s := range n.Image.Snapshots {
			list = append(list, SnapshotInfo{Name: s.Name, Taken: time.Unix(s.Seconds, s.Nanos), Memory: s.Size})
		}
	}
	return list, nil
}

// job waits for a job of QEMU's to conclude, and dismisses it.
func (v *VM) job(ctx context.Context, id string) error {
	for {
		var jobs []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
			Error  string `json:"error"`
		}
		if err := v.QMP.Run(ctx, "query-jobs", nil, &jobs); err != nil {
			return err
		}
		for _, j := range jobs {
			if j.ID != id || j.Status != "concluded" {
				continue
			}
			err := v.QMP.Run(ctx, "job-dismiss", map[string]string{"id": id}, nil)
			if j.Error != "" {
				err = errors.New(j.Error)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
