package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/probe"
	"slipway/internal/target/supervisor"
)

// prove runs the probes of a machine and makes the report.
func (p *Prover) prove(ctx context.Context, d *machine.Definition, result *build.Result, m *supervisor.Machine, stages *probe.Stages) (*probe.Proof, error) {
	reach, err := m.Reach(ctx)
	if err != nil {
		return nil, err
	}
	defer reach.Close()
	begin := time.Now()
	step := p.Progress.Step(fmt.Sprintf("prove %d probes", len(d.Probes)))
	results := probe.Run(ctx, d.Probes, &prober{Reach: reach, builder: p.Builder, result: result}, func(r probe.Result) {
		if !r.OK {
			step.Note(r.Name + ": " + r.Reason)
		}
	})
	stages.Add("service", time.Since(begin), p.explain(m, firstFailure(results)))
	step.Done(ctx.Err())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return p.report(d, result, stages, results), nil
}

// explain says when a probe failed because there is no machine any more.
func (p *Prover) explain(m *supervisor.Machine, failure error) error {
	if failure == nil {
		return nil
	}
	now, err := supervisor.Find(p.Runtime, m.Name)
	if err != nil || now.Running() {
		return failure
	}
	p.Progress.Note(fmt.Sprintf("%s has ended meanwhile: %s", m.Name, now.Reason))
	return fmt.Errorf("the machine has ended: %s; %w", now.Reason, failure)
}

func firstFailure(results []probe.Result) error {
	for _, r := range results {
		if !r.OK {
			return fmt.Errorf("probe %s: %s", r.Name, r.Reason)
		}
	}
	return nil
}

func (p *Prover) report(d *machine.Definition, result *build.Result, stages *probe.Stages, probes []probe.Result) *probe.Proof {
	list := stages.Results()
	var seconds float64
	for _, s := range list {
		seconds += s.Seconds
	}
	if probes == nil {
		probes = []probe.Result{}
	}
	proof := &probe.Proof{
		Machine: d.Name, Definition: d.File, Lock: result.Prepared.Lock.Digest(),
		Targets: []probe.TargetReport{probe.NewTarget("container", seconds, list, probes)},
	}
	p.log("probe", d.Name, map[string]any{"ok": proof.OK(), "targets": proof.Targets})
	return proof
}

// failed is the report of a machine that did not come up; its probes were not tried.
func (p *Prover) failed(d *machine.Definition, result *build.Result, stages *probe.Stages, cause error) (*probe.Proof, error) {
	var probes []probe.Result
	for i := range d.Probes {
		probes = append(probes, probe.Result{Name: probe.Name(&d.Probes[i]), Reason: "not tried: the machine did not start"})
	}
	return p.report(d, result, stages, probes), cause
}

// Test starts the machine under a name of its own, without published ports,
// proves it and takes it down again.
func (p *Prover) Test(ctx context.Context, d *machine.Definition, opt build.Options) (proof *probe.Proof, err error) {
	if err := p.check(ctx, d); err != nil {
		return nil, err
	}
	opt.Class = plan.Container
	stages := &probe.Stages{}
	result, err := p.build(ctx, d, opt, stages)
	if err != nil {
		return nil, err
	}
	name := testName(d.Name)
	spec, err := p.spec(asNamed(d), result, name)
	if err != nil {
		return nil, err
	}
	spec.StateDir = spec.RunDir + ".state" // a test never touches kept data
	defer p.clear(spec, &err)
	m, err := p.start(ctx, spec, stages)
	if err != nil {
		return p.failed(d, result, stages, err)
	}
	return p.prove(ctx, d, result, m, stages)
}

// asNamed is the definition with its hostname written out, so that the machine
// calls itself the same in a test, where its name in the lab is another.
func asNamed(d *machine.Definition) *machine.Definition {
	if d.Hostname != "" {
		return d
	}
	named := *d
	named.Hostname = d.Name
	return &named
}

// testName is unique per process, short enough for a host label.
func testName(name string) string {
	suffix := "-test-" + strconv.Itoa(os.Getpid())
	if len(name)+len(suffix) > 63 {
		name = name[:63-len(suffix)]
	}
	return name + suffix
}

// clear takes a test machine down, also when the test was interrupted.
func (p *Prover) clear(spec supervisor.Spec, err *error) {
	name := spec.Name
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	step := p.Progress.Step("stop " + name)
	downErr := p.Down(ctx, name)
	var missing *supervisor.NotFoundError
	if errors.As(downErr, &missing) {
		downErr = nil // it never came into being
	}
	downErr = errors.Join(downErr, p.Builder.RemoveAll(spec.StateDir))
	step.Done(downErr)
	if *err == nil {
		*err = downErr
	}
}

// Down ends a machine and gives up its build.
func (p *Prover) Down(ctx context.Context, name string) error {
	m, err := supervisor.Find(p.Runtime, name)
	if err != nil {
		return err
	}
	if err := m.Down(ctx); err != nil {
		return err
	}
	p.log("stop", name, map[string]any{"ok": true})
	p.renewSSH(m.SSHDir(), name)
	return p.Builder.Store.Unpin("machine-" + name)
}
