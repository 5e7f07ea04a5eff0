package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/image"
	"slipway/internal/target/metal"
)

// install writes a machine to its disk. It returns when the disk is finished,
// whether or not the server heard of it: the disk itself tells.
func (p *program) install(ctx context.Context, o *Order) error {
	disk, err := p.scan.choose(o.Disk)
	if err != nil {
		return because(fleet.CauseDisk, err)
	}
	if err := p.mayErase(disk, o); err != nil {
		return err
	}
	d, err := p.open(ctx, "the disk image", o.Image)
	if err != nil {
		return err
	}
	m := Mark{Machine: o.Machine, Grant: o.Grant, Version: o.Version, Time: p.now().UTC()}
	v, err := newVolume(ctx, d, disk.Size)
	if err != nil {
		return err
	}
	if err := v.suits(disk); err != nil {
		return err
	}
	p.say("installing %s on %s", o.Machine, disk)
	p.tell(Report{Stage: fleet.StageInstall, Text: fmt.Sprintf("writing %s to %s", o.Machine, disk), Total: d.chunks.Data()})
	d.report = p.progress("the disk is written", fleet.StageInstall)
	reading := p.progress("the disk is read back", fleet.StageInstall)
	err = disk.Write(ctx, v, metal.WriteOptions{What: o.Machine, Now: p.now(), Head: m.place, Progress: func(stage string, done, total int64) {
		if stage != "write" {
			reading(done, total)
		}
	}})
	if err != nil {
		return err
	}
	return p.finish(ctx, disk, m)
}

// mayErase refuses a disk that is in use, and one that holds something when
// nobody asked to erase it. A write of ours that did not end is nothing.
func (p *program) mayErase(disk *metal.Device, o *Order) error {
	if err := disk.Idle(); err != nil {
		return err
	}
	if !o.OnlyEmpty {
		return nil
	}
	c, err := disk.Contents()
	if err != nil {
		return err
	}
	if c.Unfinished != "" || c.Empty() {
		return nil
	}
	remedy := "slipway reinstall " + o.Machine + " allows to erase it"
	if p.cfg.Offline != nil {
		remedy = "choose the entry of the menu that erases it"
	}
	return fmt.Errorf("%s is not empty, and nobody asked to erase it (%s): %s", disk, o.Why, joinWords(c.Lines(), remedy))
}

func joinWords(lines []string, remedy string) string {
	text := "it holds"
	for i, l := range lines {
		if i > 0 {
			text += ";"
		}
		text += " " + l
	}
	return text + ". " + remedy
}

// suits refuses a disk with other sectors than the image's table counts in.
func (v *volume) suits(disk *metal.Device) error {
	if v.sector != 0 && !disk.File && v.sector != disk.Sector {
		return fmt.Errorf("the image's partition table counts in sectors of %d bytes, and those of %s have %d: set disk.sector_size: %d in the definition",
			v.sector, disk.Path, disk.Sector, disk.Sector)
	}
	return disk.Fits(v.Size(), "the machine")
}

var _ image.Volume = (*volume)(nil)

// Tries to report a finished disk. What comes after does not depend on it.
const reportTries = 6

// finish makes the firmware start the disk, and reports.
func (p *program) finish(ctx context.Context, disk *metal.Device, m Mark) error {
	entry, err := p.bootEntry(disk, m.Machine)
	if err != nil { // the firmware finds EFI/BOOT, and the server sends it to the disk
		p.say("the disk is written, but the firmware has no entry for it: %v", err)
	}
	f, err := os.Open(disk.Path)
	if err != nil {
		return err
	}
	found := readMark(f)
	f.Close()
	if found == nil && m.Grant != "" {
		p.say("the disk has no room for a mark of the installation: only the report tells of it")
		found = &m
	}
	found.Disk, found.Serial = disk.Path, disk.Serial
	r := Report{Stage: fleet.StageInstall, Text: fmt.Sprintf("%s is written to %s, read back and compared", m.Machine, disk), Installed: found,
		Fields: map[string]string{"disk": disk.Path, "serial": disk.Serial, "boot_entry": entry, fleet.FieldVersion: m.Version}}
	if err := p.report(ctx, r, reportTries); err != nil {
		p.say("nobody heard that the disk is finished (%v): its mark will tell", err)
	}
	p.say("%s is written to %s, read back and compared", m.Machine, disk.Path)
	return nil
}

// bootEntry makes the firmware start the disk first.
func (p *program) bootEntry(disk *metal.Device, label string) (string, error) {
	if p.efivars == "" || !metal.HasEFI(p.efivars) {
		return "", nil
	}
	e, ok, err := disk.BootEntry(label)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errors.New("its ESP has no loader, or it has no ESP: add uefi to boot.firmware")
	}
	n, err := metal.SetBootEntry(p.efivars, e)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Boot%04X", n), nil
}

// progress tells the server how far something is, not too often.
func (p *program) progress(what, stage string) func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		if now := time.Now(); now.Sub(last) >= p.pace || done == total {
			last = now
			p.tell(Report{Stage: stage, Text: what, Bytes: done, Total: total})
		}
	}
}
