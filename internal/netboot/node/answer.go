package node

import (
	"encoding/json"
	"fmt"
	"time"

	"slipway/internal/fleet"
)

// Offer is what a server has for a machine.
type Offer struct {
	Machine string // name; empty: unknown
	Mode    string // DoRAM, DoInstall, DoRescue or DoInventory
	Version string // the newest
	// Kept is what the server must know of that version to hand it out again.
	Kept json.RawMessage
	// Artefacts gives what a version is made of, from what was kept of it; it is
	// asked when the decision is kept already.
	Artefacts func(version string, kept json.RawMessage) (*Artefacts, error)

	Disk    string        // selector of what is installed, or keeps the state of a machine in RAM
	Recover bool          // install: an empty disk needs no grant
	Within  time.Duration // ram: how long a version may take to prove itself
	Kexec   bool          // ram: the machine started from a stick and gets its own kernel
	SSHKeys []string
	Retry   time.Duration // inventory, rescue
}

// Artefacts are the files of one version.
type Artefacts struct {
	Image   *Artefact // root or disk image
	Kernel  *Artefact // kexec
	Initrd  *Artefact
	Cmdline string
	Memory  int64 // bytes that the machine needs; 0: not known
	Secret  bool  // they hold secrets: only the machine itself gets them, once
}

// Answer decides what the program does of a machine that asks from a hardware
// address, and takes the evidence that its question brings.
func (r *Record) Answer(o *Offer, q *Question, client string, now time.Time) (*Order, error) {
	now = now.UTC()
	order := &Order{Machine: o.Machine, Nonce: q.Nonce, Issued: now, SSHKeys: o.SSHKeys, Retry: o.Retry}
	switch o.Mode {
	case DoRAM:
		choice, ok := r.started(q.Started, o.Version)
		if !ok {
			choice = r.Choose(o.Version, o.Kept, o.Within, now)
		}
		order.Disk = o.Disk
		order.Version, order.Why, order.choice = choice.Version, choice.Why, choice
		order.Do = map[bool]string{false: DoRAM, true: DoKexec}[o.Kexec]
		return order, nil
	case DoInstall:
		r.answerInstall(o, q, order, client, now)
		return order, nil
	case DoRescue, DoInventory:
		order.Do = o.Mode
		return order, nil
	}
	return nil, fmt.Errorf("nothing is known of the mode %q", o.Mode)
}

// answerInstall sends a machine to its disk when a disk carries the mark of
// the grant, whatever became of the report.
func (r *Record) answerInstall(o *Offer, q *Question, order *Order, client string, now time.Time) {
	ours, first := r.ours(q.Marks), r.Installed == nil && (r.Grant == nil || r.Grant.State == fleet.Expired)
	for i := range q.Marks {
		if r.use(&q.Marks[i], fmt.Sprintf("its mark on the disk %s", q.Marks[i].Disk), now) {
			order.Do, order.Why = DoDisk, "the disk carries the mark of the granted installation"
			return
		}
	}
	switch {
	case r.Grant.Open(now):
	case ours != nil:
		order.Do, order.Why = DoDisk, "the disk carries a mark of this machine, and nothing is granted"
		r.Installed = ours
		return
	case o.Recover || first:
		reason := "first installation, on an empty disk"
		if !first {
			reason = "recovery of an empty disk (netboot.recover)"
		}
		r.NewGrant(reason, now)
	default:
		order.Do, order.Why = DoRescue, "no disk carries a mark of this machine, and nothing is granted: slipway reinstall "+o.Machine+" grants an installation"
		return
	}
	r.Grant.Begin(client, now)
	order.Grant, order.OnlyEmpty, order.Why = r.Grant.ID, r.Grant.OnlyEmpty, r.Grant.By
	order.Do, order.Disk, order.Version = DoInstall, o.Disk, o.Version
}

// ours is the newest mark of the machine.
func (r *Record) ours(marks []Mark) (best *Mark) {
	for i := range marks {
		if m := &marks[i]; m.Machine == r.Machine && (best == nil || m.Time.After(best.Time)) {
			copied := *m
			best = &copied
		}
	}
	return best
}

// complete adds the files that an order wants.
func (o *Order) complete(offer *Offer) error {
	if o.Do != DoRAM && o.Do != DoKexec && o.Do != DoInstall {
		return nil
	}
	a, err := offer.Artefacts(o.Version, o.choice.Kept)
	if err != nil {
		return fmt.Errorf("finding version %s of %s: %w", short(o.Version), offer.Machine, err)
	}
	o.Memory, o.secret = a.Memory, a.Secret
	if o.Do == DoKexec {
		o.Kernel, o.Initrd, o.Cmdline = a.Kernel, a.Initrd, a.Cmdline
	} else {
		o.Image = a.Image
	}
	return nil
}
