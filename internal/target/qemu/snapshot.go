package qemu

import (
	"context"
	"errors"
	"fmt"
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

func (v *VM) snapshotJob(ctx context.Context, command, name string) error {
	var nodes []string
	for i, d := range v.config.Disks {
		if d.Format == "qcow2" && !d.ReadOnly {
			nodes = append(nodes, diskNode(i))
		} else if !d.ReadOnly {
			return fmt.Errorf("machine %s: disk %d is raw, so that no snapshot can be kept; put a qcow2 overlay over it", v.Name, i+1)
		}
	}
	if len(nodes) == 0 {
		return fmt.Errorf("machine %s: there is no qcow2 disk to keep a snapshot in", v.Name)
	}
	if command == "snapshot-load" { // a load that fails leaves no machine behind
		if err := v.hasSnapshot(ctx, nodes[0], name); err != nil {
			return err
		}
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

func (v *VM) hasSnapshot(ctx context.Context, node, name string) error {
	var nodes []struct {
		Name  string `json:"node-name"`
		Image struct {
			Snapshots []struct{ Name string }
		}
	}
	if err := v.QMP.Run(ctx, "query-named-block-nodes", nil, &nodes); err != nil {
		return err
	}
	var names []string
	for _, n := range nodes {
		for _, s := range n.Image.Snapshots {
			if n.Name != node {
				continue
			}
			if s.Name == name {
				return nil
			}
			names = append(names, s.Name)
		}
	}
	return fmt.Errorf("machine %s: there is no snapshot %q; there are %q", v.Name, name, names)
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
