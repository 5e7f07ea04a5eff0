package vm

import (
	"context"
	"errors"

	"slipway/internal/target/supervisor"
)

var _ supervisor.Snapshotter = (*run)(nil)

// whole refuses what a snapshot could not keep: whatever lies outside of the
// machine's own layer and its memory would stay as it is when it goes back.
func (r *run) whole() error {
	spec := &r.body.Spec
	d := spec.Definition
	switch {
	case spec.Boot.State.Length > 0:
		return errors.New("no snapshot can be kept: what state: names lies on a raw disk of its own, which would not go back with the machine")
	case r.body.fetched():
		return errors.New("no snapshot can be kept: the disk of a machine that boots over the network is raw")
	case len(d.VM.Disks) > 0:
		return errors.New("no snapshot can be kept: the further disks of vm.disks are raw and would not go back with the machine")
	case spec.Boot.Disk == "":
		return errors.New("no snapshot can be kept: the machine runs from memory alone and has no disk to keep one in (slipway up FILE --on vm)")
	case len(r.vm.Shares) > 0:
		return errors.New("no snapshot can be kept: shares: are the host's folders, which would not go back with the machine")
	case d.VM.Bus == "nvme":
		return errors.New("no snapshot can be kept: QEMU cannot save the state of an NVMe disk (vm.bus)")
	}
	return nil
}

// Snapshots lists them, oldest first.
func (r *run) Snapshots(ctx context.Context) ([]supervisor.Snapshot, error) {
	if err := r.whole(); err != nil {
		return nil, err
	}
	have, err := r.vm.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]supervisor.Snapshot, 0, len(have))
	for _, s := range have {
		list = append(list, supervisor.Snapshot{Tag: s.Name, Taken: s.Taken, Memory: s.Memory})
	}
	return list, nil
}

// CreateSnapshot keeps memory and disk as they are now.
func (r *run) CreateSnapshot(ctx context.Context, tag string) error {
	if err := r.whole(); err != nil {
		return err
	}
	return r.vm.Snapshot(ctx, tag)
}

// RestoreSnapshot goes back.
func (r *run) RestoreSnapshot(ctx context.Context, tag string) error {
	if err := r.whole(); err != nil {
		return err
	}
	return r.vm.Restore(ctx, tag)
}

// DeleteSnapshot forgets one.
func (r *run) DeleteSnapshot(ctx context.Context, tag string) error {
	if err := r.whole(); err != nil {
		return err
	}
	return r.vm.DeleteSnapshot(ctx, tag)
}
