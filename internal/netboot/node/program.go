package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"slipway/internal/bootfiles"
	"slipway/internal/fleet"
)

// program is what runs on the machine, apart from what only the first process
// of a real machine can do (computer).
type program struct {
	cfg     *Config
	key     ed25519.PublicKey
	srv     *server // nil: offline
	scan    *Scanner
	machine computer
	efivars string // folder of the firmware's variables; empty: none
	say     func(format string, args ...any)
	now     func() time.Time
	pace    time.Duration // between reports of progress
	rest    time.Duration // after an order that failed
	want    string        // what the loader's menu chose
	started string        // version of the root that the kernel belongs to
	prover  string        // where the system proves itself; empty: at the server's own address
	logins  func(keys []string) error
	queue   chan Report           // what is told without waiting
	reply   atomic.Pointer[Order] // the last order
}

// computer is what an order does to the machine. HandOver, Kexec and Restart do
// not return when they succeed, except in tests.
type computer interface {
	// HandOver starts the system whose root is in a file of this name. With prove
	// something stays behind that proves it.
	HandOver(root string, prove *staying) error
	// Keep readies the file system that keeps a machine's state for the system
	// whose root is in a file of this name.
	Keep(ctx context.Context, device, root string, state *bootfiles.State) error
	// Kexec starts another kernel.
	Kexec(kernel, initrd, cmdline string) error
	// Restart switches off and on; to the disk where the firmware can be told.
	Restart() error
	// Create makes a file in the memory, to be filled. Its name is what
	// HandOver and Kexec take.
	Create(name string) (file, error)
	// Free is how much memory is free, in bytes.
	Free() int64
	// Root is the name of the root's file, as the command line wants it.
	Root() string
}

// file is one that is being fetched.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// run asks and obeys until the machine becomes something else.
func (p *program) run(ctx context.Context) error {
	if p.cfg.Offline != nil {
		return p.offline(ctx)
	}
	go p.deliver(ctx)
	tried := ""
	for {
		o, err := p.ask(ctx, tried)
		if err == nil {
			p.reply.Store(o)
			p.say("%s: %s", orderWords(o), o.Why)
			err = p.obey(ctx, o)
		}
		if err == nil && o.Retry == 0 || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		pause := p.rest
		if tried = ""; err != nil {
			tried = err.Error()
			p.say("%v", err)
			p.report(ctx, Report{Stage: failedStage(o), Problem: tried, Fields: causeOf(err)}, 2)
		} else {
			pause = o.Retry
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// failedStage is the stage that an order is about.
func failedStage(o *Order) string {
	if o != nil && o.Do == DoInstall {
		return fleet.StageInstall
	}
	return ""
}

func orderWords(o *Order) string {
	name := o.Machine
	if name == "" {
		name = "an unknown machine"
	}
	return name + ", " + o.Do
}

// ask tells what the machine is, and gets an order.
func (p *program) ask(ctx context.Context, tried string) (*Order, error) {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	q := Question{Nonce: hex.EncodeToString(nonce[:]), Hardware: p.scan.Hardware(), Tried: tried, Want: p.want, Started: p.started}
	if disks, err := p.scan.finder().Disks(); err == nil {
		q.Marks = marks(disks)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = p.srv.again(ctx, "asking "+p.srv.base.Host, 0, func() error {
		data, err = p.srv.post(ctx, "order", body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return Verify(p.key, data, q.Nonce)
}

// obey does what an order says.
func (p *program) obey(ctx context.Context, o *Order) error {
	if len(o.SSHKeys) > 0 && p.logins != nil {
		if err := p.logins(o.SSHKeys); err != nil {
			p.say("nobody can log in: %v", err)
		}
	}
	switch o.Do {
	case DoRAM:
		return p.ram(ctx, o)
	case DoKexec:
		return p.kexec(ctx, o)
	case DoInstall:
		if err := p.install(ctx, o); err != nil {
			return err
		}
		return p.machine.Restart()
	case DoDisk:
		return p.machine.Restart()
	case DoInventory, DoRescue:
		return nil
	}
	return fmt.Errorf("the order %q is not known here: the server is newer than this initrd", o.Do)
}

// ram fetches the root, checks each piece of it before it is kept, and starts
// the system.
func (p *program) ram(ctx context.Context, o *Order) error {
	if err := p.fits(o, o.Image); err != nil {
		return err
	}
	state, err := p.keepsState()
	if err != nil {
		return err
	}
	device := ""
	if state != nil { // first: a root with secrets is given once
		if device, err = p.state(ctx, o); err != nil {
			return err
		}
	}
	root := p.machine.Root()
	if err := p.fetch(ctx, "the root", o.Image, root); err != nil {
		return err
	}
	if state != nil {
		if err := p.machine.Keep(ctx, device, root, state); err != nil {
			return because(fleet.CauseState, fmt.Errorf("readying what is kept of %s: %w", o.Machine, err))
		}
	}
	p.report(ctx, Report{Stage: fleet.StageInit, Text: "the root is here and is what was signed", Fields: map[string]string{"version": o.Version}}, 2)
	return p.machine.HandOver(root, p.proving(o))
}

// proving is what stays behind is told; nil: nobody wants a proof.
func (p *program) proving(o *Order) *staying {
	if !o.Prove {
		return nil
	}
	s := &staying{Server: p.prover, Key: p.cfg.Key, Version: o.Version}
	if s.Server == "" {
		s.Server = p.srv.base.String()
	}
	return s
}

func (p *program) kexec(ctx context.Context, o *Order) error {
	if err := p.fits(o, o.Kernel, o.Initrd); err != nil {
		return err
	}
	for name, a := range map[string]*Artefact{"kernel": o.Kernel, "initrd": o.Initrd} {
		if err := p.fetch(ctx, "the "+name, a, name); err != nil {
			return err
		}
	}
	p.report(ctx, Report{Stage: fleet.StageInit, Text: "kernel and initrd are here and are what was signed", Fields: map[string]string{"version": o.Version}}, 2)
	return p.machine.Kexec("kernel", "initrd", o.Cmdline)
}

// spare is what must stay free beside what is fetched.
const spare = 48 << 20

// fits refuses what the memory cannot hold, before it is fetched: a machine
// that runs out of memory says nothing.
func (p *program) fits(o *Order, files ...*Artefact) error {
	need := int64(spare)
	for _, a := range files {
		if a == nil {
			return errors.New("the order names no files")
		}
		need += a.Size
	}
	have := p.scan.Hardware().Memory
	const hidden = 128 << 20 // of the installed memory, which the kernel does not count
	if o.Memory > have+hidden {
		return because(fleet.CauseMemory, fmt.Errorf("%s needs %d MiB of memory, and this machine has %d MiB: add memory, make the machine smaller (slim:), or install it on a disk (netboot.mode: install)",
			o.Machine, o.Memory>>20, have>>20))
	}
	if free := p.machine.Free(); need > free {
		return because(fleet.CauseMemory, fmt.Errorf("%s needs %d MiB of memory to be fetched, and %d MiB are free: add memory, or make the machine smaller (slim:)",
			o.Machine, need>>20, free>>20))
	}
	return nil
}

func (p *program) fetch(ctx context.Context, what string, a *Artefact, name string) error {
	d, err := p.open(ctx, what, a)
	if err != nil {
		return err
	}
	d.report = p.progress("fetching "+what, fleet.StageInit)
	f, err := p.machine.Create(name)
	if err != nil {
		return fmt.Errorf("keeping %s: %w", what, err)
	}
	return errors.Join(d.to(ctx, f, f.Truncate), f.Close())
}

func (p *program) open(ctx context.Context, what string, a *Artefact) (*download, error) {
	if a == nil {
		return nil, fmt.Errorf("the order names no file for %s", what)
	}
	if p.srv == nil {
		return p.openStick(what, a)
	}
	return p.srv.open(ctx, what, a)
}

// report tells the server something that it should hear; offline there is
// nobody.
func (p *program) report(ctx context.Context, r Report, tries int) error {
	if p.srv == nil {
		return nil
	}
	return p.srv.report(ctx, r, tries)
}

// tell does so without waiting: what cannot be told soon is left out.
func (p *program) tell(r Report) {
	select {
	case p.queue <- r:
	default:
	}
}

func (p *program) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-p.queue:
			p.srv.report(ctx, r, 1)
		}
	}
}
