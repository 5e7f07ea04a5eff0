package node

import (
	"encoding/json"
	"fmt"
	"time"
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

	Disk    string        // install: selector
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
}

// back is how soon a machine that was sent to its disk may come back without
// the disk being in doubt.
const back = 15 * time.Minute

// Start decides what a loader gives a machine that starts now: DoDisk, or the
// node program (true), with the reason. The machine is told of the disk only
// when nothing else is to be done; one that comes back soon after that has
// perhaps no disk that starts, and if it may recover by itself its program
// looks at the disk.
func (r *Record) Start(o *Offer, now time.Time) (program bool, why string) {
	switch {
	case o.Mode != DoInstall:
		return true, "mode " + o.Mode
	case r.Pending():
		return true, "an installation is granted: " + r.Grant.Reason
	case r.Installed == nil:
		return true, "nothing is known of an installation: its disk is looked at"
	case o.Recover && r.ToldDisk != nil && now.Sub(*r.ToldDisk) < back:
		return true, "it was sent to its disk and is here again: its disk is looked at"
	}
	now = now.UTC()
	r.ToldDisk = &now
	return false, "it is installed"
}

// Up takes evidence that the machine came up from its disk.
func (r *Record) Up() { r.ToldDisk = nil }

// Answer decides what a machine's program does, and takes the evidence that
// its question brings.
func (r *Record) Answer(o *Offer, q *Question, now time.Time) (*Order, error) {
	now = now.UTC()
	r.Hardware, r.Asked = q.Hardware, &now
	order := &Order{Machine: o.Machine, Nonce: q.Nonce, Issued: now, SSHKeys: o.SSHKeys, Retry: o.Retry}
	switch o.Mode {
	case DoRAM:
		choice, ok := r.started(q.Started, o.Version)
		if !ok {
			choice = r.Choose(o.Version, o.Kept, o.Within, now)
		}
		order.Version, order.Why, order.choice = choice.Version, choice.Why, choice
		order.Do = map[bool]string{false: DoRAM, true: DoKexec}[o.Kexec]
		return order, nil
	case DoInstall:
		r.answerInstall(o, q, order, now)
		return order, nil
	case DoRescue, DoInventory:
		order.Do = o.Mode
		return order, nil
	}
	return nil, fmt.Errorf("nothing is known of the mode %q", o.Mode)
}

// answerInstall sends a machine to its disk when a disk carries the mark of
// the grant, whatever became of the report.
func (r *Record) answerInstall(o *Offer, q *Question, order *Order, now time.Time) {
	ours, first := r.ours(q.Marks), r.Grant == nil && r.Installed == nil
	for i := range q.Marks {
		if r.use(&q.Marks[i], fmt.Sprintf("its mark on the disk %s", q.Marks[i].Disk), now) {
			order.Do, order.Why = DoDisk, "the disk carries the mark of the granted installation"
			r.ToldDisk = &now
			return
		}
	}
	switch {
	case r.Pending():
		order.Grant, order.OnlyEmpty, order.Why = r.Grant.ID, r.Grant.OnlyEmpty, r.Grant.Reason
	case ours != nil:
		order.Do, order.Why = DoDisk, "the disk carries a mark of this machine, and nothing is granted"
		r.Installed, r.ToldDisk = ours, &now
		return
	case o.Recover || first:
		reason := "first installation, on an empty disk"
		if !first {
			reason = "recovery of an empty disk (netboot.recover)"
		}
		r.NewGrant(reason, now).OnlyEmpty = true
		order.Grant, order.OnlyEmpty, order.Why = r.Grant.ID, true, reason
	default:
		order.Do, order.Why = DoRescue, "no disk carries a mark of this machine, and nothing is granted: slipway reinstall "+o.Machine+" grants an installation"
		return
	}
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
	o.Memory = a.Memory
	if o.Do == DoKexec {
		o.Kernel, o.Initrd, o.Cmdline = a.Kernel, a.Initrd, a.Cmdline
	} else {
		o.Image = a.Image
	}
	return nil
}
