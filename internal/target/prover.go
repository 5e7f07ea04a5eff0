// Package target starts built machines on their targets and proves them.
//
// Prover joins what the packages beside it do: a build, a start, the stages on
// the way up and the probes. The targets themselves live in folders of their
// own (container), on package supervisor.
package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/probe"
	"slipway/internal/progress"
	"slipway/internal/target/supervisor"
)

// Prover builds machines and proves them.
type Prover struct {
	Builder  *build.Builder
	Progress *progress.Reporter
	Runtime  string // folder of running machines; "" is the usual one
}

// Capabilities is what the container target offers to probes.
var Capabilities = probe.Capabilities{Target: "container", Network: true, Exec: true, Terminal: true, Usage: true, Pending: true}

// Names lists the targets that work today.
var Names = []string{"container"}

// CheckTarget refuses a target that is not there yet.
func CheckTarget(name string) error {
	for _, n := range Names {
		if n == name {
			return nil
		}
	}
	for _, later := range []string{"vm", "uefi", "bios", "ram", "netboot", "libvirt", "proxmox", "nspawn"} {
		if later == name {
			return fmt.Errorf("target %s is not there yet; what works today: container", name)
		}
	}
	return fmt.Errorf("there is no target %q; what works today: container", name)
}

// UpOptions say how a machine is started.
type UpOptions struct {
	Build   build.Options
	Keep    bool // keep what the machine writes, for the same build
	Replace bool // take the place of a running machine, even from another file
}

// Up makes the definition's machine run, as it is now, and proves it. A
// machine that runs already and is unchanged is left alone.
func (p *Prover) Up(ctx context.Context, d *machine.Definition, opt UpOptions) (*probe.Proof, error) {
	if err := p.check(ctx, d); err != nil {
		return nil, err
	}
	opt.Build.Class = plan.Container
	stages := &probe.Stages{}
	result, err := p.build(ctx, d, opt.Build, stages)
	if err != nil {
		return nil, err
	}
	spec, err := p.spec(d, result, d.Name)
	if err != nil {
		return nil, err
	}
	spec.Keep, spec.Discard, spec.Publish = opt.Keep, opt.Replace, true
	m, err := p.running(ctx, d, spec, opt)
	if err != nil {
		return nil, err
	}
	if m == nil {
		if m, err = p.start(ctx, spec, stages); err != nil {
			return p.failed(d, result, stages, err)
		}
	} else {
		p.Progress.Note(fmt.Sprintf("%s is up and unchanged since %s", d.Name, m.Since.Local().Format(time.TimeOnly)))
	}
	return p.prove(ctx, d, result, m, stages)
}

// check finds what cannot work on this target before anything is built.
func (p *Prover) check(ctx context.Context, d *machine.Definition) error {
	if d.Init == "none" {
		return fmt.Errorf("%s: init: none makes a tree to be built and entered, not a machine to be started; leave init out", d.At("init"))
	}
	if err := errors.Join(probe.Check(d.Probes, Capabilities)...); err != nil {
		return err
	}
	driver, err := supervisor.DriverOf("container")
	if err != nil {
		return err
	}
	return driver.Ready(ctx, d.Name)
}

func (p *Prover) build(ctx context.Context, d *machine.Definition, opt build.Options, stages *probe.Stages) (*build.Result, error) {
	end := stages.Begin("build")
	result, err := p.Builder.Build(ctx, d, opt)
	end(err)
	if err != nil {
		return nil, err
	}
	for _, note := range result.Prepared.Notes {
		p.Progress.Note(note)
	}
	return result, nil
}

// running returns the machine if it runs as the definition says; otherwise it
// says what changed and ends the old one.
func (p *Prover) running(ctx context.Context, d *machine.Definition, spec supervisor.Spec, opt UpOptions) (*supervisor.Machine, error) {
	m, err := supervisor.Find(p.Runtime, d.Name)
	var missing *supervisor.NotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.Running() && m.Definition != d.File && !opt.Replace {
		return nil, fmt.Errorf("a machine named %s runs already, from %s; --replace takes its place", d.Name, m.Definition)
	}
	reasons := m.Changes(d, spec.Key)
	if m.Running() && len(reasons) == 0 && !opt.Replace {
		return m, nil
	}
	if err := supervisor.CheckKept(&spec); err != nil {
		return nil, err // before the old one ends for nothing
	}
	if m.Running() {
		for _, r := range reasons {
			p.Progress.Note(fmt.Sprintf("%s restarts: %s", d.Name, r))
		}
	}
	step := p.Progress.Step("stop " + d.Name)
	err = m.Down(ctx)
	step.Done(err)
	return nil, err
}

func (p *Prover) spec(d *machine.Definition, result *build.Result, name string) (supervisor.Spec, error) {
	store := p.Builder.Store
	spec := supervisor.Spec{
		Name: name, Definition: d, LayerDirs: result.Dirs, Key: result.Key, TreeSize: result.Bytes, Runtime: p.Runtime,
		RunDir:   filepath.Join(store.Dir(), "run", name),
		StateDir: filepath.Join(store.Dir(), "state", d.Name),
		SSHDir:   string(SSHDir(store.Dir())),
	}
	for _, dir := range []string{filepath.Dir(spec.RunDir), filepath.Dir(spec.StateDir)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

// start starts a machine and waits until its init has reached its goal.
func (p *Prover) start(ctx context.Context, spec supervisor.Spec, stages *probe.Stages) (*supervisor.Machine, error) {
	if err := p.Builder.Store.Pin("machine-"+spec.Name, spec.Key); err != nil {
		return nil, err
	}
	step := p.Progress.Step("start " + spec.Name)
	begin := time.Now()
	var before time.Duration
	m, err := supervisor.Up(ctx, spec, func(e supervisor.Progress) {
		if e.OK && e.Text != "" {
			p.Progress.Note(e.Text)
		}
		if e.Stage == "" {
			return
		}
		var cause error
		if !e.OK {
			cause = errors.New(e.Text)
		} else if e.Text != "" {
			step.Note(e.Text)
		}
		at := time.Duration(e.Seconds * float64(time.Second))
		stages.Add(e.Stage, max(at-before, 0), cause)
		before = at
	})
	step.Done(err)
	if err != nil {
		stages.Add("start", time.Since(begin), err)
		p.log("start", spec.Name, map[string]any{"key": spec.Key, "ok": false, "error": err.Error()})
		return nil, errors.Join(err, p.Builder.Store.Unpin("machine-"+spec.Name))
	}
	if err := p.pinKept(spec); err != nil {
		return m, err
	}
	end := stages.Begin("init")
	step = p.Progress.Step("wait for init")
	m, err = p.ready(ctx, m)
	end(err)
	step.Done(err)
	p.log("start", spec.Name, map[string]any{"key": spec.Key, "ok": err == nil, "target": "container"})
	p.renewSSH(m.SSHDir(), "")
	return m, err
}

// pinKept keeps the build of what a machine keeps for as long as that is there,
// also while the machine does not run.
func (p *Prover) pinKept(spec supervisor.Spec) error {
	if spec.Keep {
		return p.Builder.Store.Pin("kept-"+spec.Name, spec.Key)
	}
	return p.Builder.Store.Unpin("kept-" + spec.Name)
}

// initDeadline bounds how long init may take to reach its goal. Probes have
// deadlines of their own, which begin when it has.
const initDeadline = 2 * time.Minute

func (p *Prover) ready(ctx context.Context, m *supervisor.Machine) (*supervisor.Machine, error) {
	wait, cancel := context.WithTimeout(ctx, initDeadline)
	defer cancel()
	next, err := m.WaitReady(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return m, nil // slow is not failed: the probes say what is missing
	}
	if err != nil {
		return m, err
	}
	if !next.Running() {
		return next, fmt.Errorf("the machine ended while it started: %s", next.Reason)
	}
	return next, nil
}

func (p *Prover) log(kind, name string, fields map[string]any) {
	fields["machine"] = name
	if err := p.Builder.Store.Log(kind, fields); err != nil {
		p.Progress.Note("the state log could not be written: " + err.Error())
	}
}
