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
	"sync"
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
	Imager   Imager // makes what virtual machines start from; nil: there are none

	mu    sync.Mutex
	built map[plan.Class]*build.Result
}

// UpOptions say how a machine is started.
type UpOptions struct {
	Build   build.Options
	On      string // target; default container
	Keep    bool   // keep what the machine writes, for the same build
	Replace bool   // take the place of a running machine, even from another file
}

// Up makes the definition's machine run, as it is now, and proves it. A
// machine that runs already and is unchanged is left alone.
func (p *Prover) Up(ctx context.Context, d *machine.Definition, opt UpOptions) (*probe.Proof, error) {
	if opt.On == "" {
		opt.On = "container"
	}
	if err := p.check(ctx, d, opt.On); err != nil {
		return nil, err
	}
	r := p.run(d, opt.On)
	spec, err := r.make(ctx, opt.Build, d, d.Name)
	if err != nil {
		return nil, err
	}
	spec.Keep, spec.Discard, spec.Publish = opt.Keep, opt.Replace, true
	m, err := p.running(ctx, d, spec, opt)
	if err != nil {
		return nil, err
	}
	if m == nil {
		if said := stateElsewhere(&spec); said != "" {
			p.Progress.Note(said)
		}
		if m, err = r.start(ctx, spec); err != nil {
			return r.failed(err)
		}
	} else {
		p.Progress.Note(fmt.Sprintf("%s is up and unchanged since %s", d.Name, m.Since.Local().Format(time.TimeOnly)))
	}
	return r.prove(ctx, m)
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
	reasons := m.Changes(d, spec.Target, spec.Key)
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

// pin keeps what a machine runs from in the store: its build, its image, and
// the tools that run it.
func (o *one) pin(spec supervisor.Spec) error {
	store := o.Builder.Store
	err := store.Pin("machine-"+spec.Name, o.result.Key)
	if spec.Boot != nil && err == nil {
		err = errors.Join(store.Pin("image-"+spec.Name, spec.Boot.Key), o.pinTools(spec))
	}
	return err
}

// pinTools keeps QEMU, which is started again when the machine restarts.
func (o *one) pinTools(spec supervisor.Spec) error {
	set := "qemu"
	if spec.Definition.Arch == "arm64" {
		set = "qemu-arm"
	}
	key, err := o.Builder.Tools.Key(context.Background(), set)
	if err != nil || key == "" { // the host's own
		return err
	}
	return o.Builder.Store.Pin("tools-"+spec.Name, key)
}

func (p *Prover) unpin(name string) error {
	var errs []error
	for _, what := range []string{"machine-", "image-", "tools-"} {
		errs = append(errs, p.Builder.Store.Unpin(what+name))
	}
	return errors.Join(errs...)
}

// pinKept keeps the build of what a machine keeps for as long as that is there,
// also while the machine does not run.
func (p *Prover) pinKept(spec supervisor.Spec) error {
	if spec.Keep {
		return p.Builder.Store.Pin("kept-"+spec.Name, spec.Key)
	}
	return p.Builder.Store.Unpin("kept-" + spec.Name)
}

func (p *Prover) log(kind, name string, fields map[string]any) {
	fields["machine"] = name
	if err := p.Builder.Store.Log(kind, fields); err != nil {
		p.Progress.Note("the state log could not be written: " + err.Error())
	}
}
