package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"slipway/internal/bootfiles"
	"slipway/internal/fleet"
	"slipway/internal/image"
	"slipway/internal/image/disk"
	"slipway/internal/image/ext4"
	"slipway/internal/machine"
	"slipway/internal/target/metal"
	"slipway/internal/tree"
)

// What is to be done with the disk that keeps a machine's state.
type stateDeed int

const (
	stateUse    stateDeed = iota // it is there
	stateMake                    // nothing is there, or what did not get ready
	stateRefuse                  // something else is there
)

// stateLayout is a disk with one partition for the state of a machine. All its
// names follow from the machine's.
func stateLayout(name string) machine.Disk {
	title := []rune("state of " + name)
	return machine.Disk{Table: "gpt", SectorSize: 512, Partitions: []machine.Partition{
		{Use: "state", Filesystem: "ext4", Label: "state", Name: string(title[:min(len(title), 36)]), Grow: true},
	}}
}

func stateSeed(name string) string { return "state of " + name }

// stateSlot is that partition, before it has a place.
func stateSlot(name string) (disk.Slot, error) {
	slots, err := disk.Identify(stateLayout(name), stateSeed(name), "")
	if err != nil {
		return disk.Slot{}, err
	}
	return slots[0], nil
}

// decideState looks at what a disk holds; it gives the number of the partition
// that is used, or why none is.
func decideState(c *metal.Contents, name string, slot *disk.Slot) (deed stateDeed, number int, why string) {
	// A mark of another write says that somebody else was to have the disk.
	if c.Unfinished == "of "+stateSeed(name) || strings.HasPrefix(c.Unfinished, "of "+stateSeed(name)+", ") || c.Empty() {
		return stateMake, 1, ""
	}
	for _, p := range c.Parts {
		switch {
		case p.UUID != slot.PartUUID:
		case p.Unfinished != "" || p.Filesystem != "ext4":
			return stateRefuse, 0, fmt.Sprintf("its partition %d kept the state of %s, and holds no ext4 file system any more", p.Number, name)
		default:
			return stateUse, p.Number, ""
		}
	}
	return stateRefuse, 0, fmt.Sprintf("it is not empty, and does not hold the state of %s (%s)", name, joinWords(c.Lines(), "Nothing was written to it"))
}

// keepsState is what the system keeps, from the initramfs that is its own; nil:
// nothing.
func (p *program) keepsState() (*bootfiles.State, error) {
	data, err := os.ReadFile(p.scan.at("root", bootfiles.ConfigPath))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cfg, err := bootfiles.Decode(data)
	if err != nil {
		return nil, err
	}
	return cfg.State, nil
}

// state readies the partition that keeps the machine's state, before anything
// is fetched; it gives the partition's name. A disk that holds anything else is
// left alone, and is an error.
func (p *program) state(ctx context.Context, o *Order) (device string, err error) {
	if o.Disk == "" { // a version of before the definition was changed
		return "", because(fleet.CauseState, fmt.Errorf("this version of %s keeps `state:`, and its definition names no disk for that any more: write netboot.disk", o.Machine))
	}
	d, err := p.scan.choose(o.Disk)
	if err != nil {
		return "", because(fleet.CauseDisk, fmt.Errorf("looking for the disk that keeps state: %w", err))
	}
	fail := func(err error) (string, error) {
		return "", because(fleet.CauseState, fmt.Errorf("%s is to keep the state of %s: %w", d, o.Machine, err))
	}
	slot, err := stateSlot(o.Machine)
	if err != nil {
		return fail(err)
	}
	c, err := d.Contents()
	if err != nil {
		return fail(err)
	}
	deed, number, why := decideState(c, o.Machine, &slot)
	switch deed {
	case stateRefuse:
		return fail(errors.New(why))
	case stateMake:
		p.say("making a file system for the state of %s on %s", o.Machine, d)
		if err := p.makeState(ctx, d, o.Machine); err != nil {
			return fail(err)
		}
		p.tell(Report{Stage: fleet.StageInit, Text: fmt.Sprintf("%s was empty, and keeps the state of %s from now on", d, o.Machine)})
	}
	return partitionOf(d.Path, number), nil
}

// makeState writes a table with one partition and an empty file system to a
// disk. What is first on the disk is written last: until then it carries a mark.
func (p *program) makeState(ctx context.Context, d *metal.Device, name string) error {
	layout := stateLayout(name)
	layout.SectorSize = d.Sector
	layout.Size = machine.Size(d.Size - d.Size%int64(d.Sector))
	now := p.now().UTC()
	empty := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: now.Unix()}}}
	v, err := disk.Plan(ctx, disk.Request{
		Layout: layout, Seed: stateSeed(name), Epoch: now.Unix(), NoRoot: true,
		Volume: func(ctx context.Context, _ disk.Slot, opt image.VolumeOptions) (image.Volume, error) {
			return ext4.Plan(ctx, empty, tree.Bytes{}, opt)
		},
	})
	if err != nil {
		return err
	}
	return d.Write(ctx, v, metal.WriteOptions{What: stateSeed(name), Now: now})
}

// partitionOf is the kernel's name of a partition: sda1, nvme0n1p1.
func partitionOf(disk string, number int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}
