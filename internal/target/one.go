package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/probe"
	"slipway/internal/target/cloud"
	"slipway/internal/target/supervisor"
)

// Imager makes what virtual machines start from.
type Imager interface {
	// Boot makes the image of a built machine for a target, or finds it, with
	// the programs that start it.
	Boot(ctx context.Context, d *machine.Definition, r *build.Result, target string) (*supervisor.Boot, error)
}

// one is one machine on one target, on its way to a proof.
type one struct {
	*Prover
	d      *machine.Definition
	target string
	stages probe.Stages
	result *build.Result
	stock  *cloud.Stock // a stock image that is started in place of a build; nil: none
}

func (p *Prover) run(d *machine.Definition, target string) *one {
	return &one{Prover: p, d: d, target: target}
}

// make builds what the target needs and says how to start it. d is the
// definition as the machine is to see it, name what it is called in the lab.
func (o *one) make(ctx context.Context, opt build.Options, d *machine.Definition, name string) (supervisor.Spec, error) {
	var none supervisor.Spec
	if o.d.FromImage() {
		return o.makeStock(ctx, d, name)
	}
	opt.Class = class(o.target)
	end := o.stages.Begin("build")
	result, err := o.tree(ctx, opt)
	end(err)
	if err != nil {
		return none, err
	}
	o.result = result
	spec, err := o.spec(d, name)
	if err != nil || o.target == "container" {
		return spec, err
	}
	if o.Imager == nil {
		return none, fmt.Errorf("target %s: this program makes no images", o.target)
	}
	end = o.stages.Begin("image")
	spec.OwnLab = o.target == "netboot"
	spec.Boot, err = o.Imager.Boot(ctx, o.d, result, o.target)
	end(err)
	if err == nil && spec.Boot.Key != "" {
		spec.Key = spec.Boot.Key
	}
	return spec, err
}

// tree builds a class of the machine once.
func (o *one) tree(ctx context.Context, opt build.Options) (*build.Result, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.built[opt.Class]; r != nil && r.Prepared.Definition == o.d {
		return r, nil
	}
	result, err := o.Builder.Build(ctx, o.d, opt)
	if err != nil {
		return nil, err
	}
	for _, note := range result.Prepared.Notes {
		o.Progress.Note(note)
	}
	if o.built == nil {
		o.built = map[plan.Class]*build.Result{}
	}
	o.built[opt.Class] = result
	return result, nil
}

func (o *one) spec(d *machine.Definition, name string) (supervisor.Spec, error) {
	store := o.Builder.Store
	spec := supervisor.Spec{
		Name: name, Target: o.target, Definition: d, Key: o.result.Key, TreeSize: o.result.Bytes, Runtime: o.Runtime,
		RunDir:   filepath.Join(store.Dir(), "run", name),
		StateDir: filepath.Join(store.Dir(), "state", o.d.Name),
		SSHDir:   string(SSHDir(store.Dir())),
	}
	if o.target == "container" {
		spec.LayerDirs = o.result.Dirs
	}
	for _, dir := range []string{filepath.Dir(spec.RunDir), filepath.Dir(spec.StateDir)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

// start starts a machine and waits until its init has reached its goal.
func (o *one) start(ctx context.Context, spec supervisor.Spec) (*supervisor.Machine, error) {
	if err := o.pin(spec); err != nil {
		return nil, err
	}
	m, w, err := o.launch(ctx, spec)
	if err != nil && spec.Target != "container" && starved(err) && ctx.Err() == nil {
		o.Progress.Note("this computer is so busy that the emulated machine's clock stood still while it started; it starts once more")
		m, w, err = o.launch(ctx, spec)
	}
	if err != nil {
		if !w.failed {
			o.stages.Add("start", 0, err)
		}
		o.log("start", spec.Name, map[string]any{"key": spec.Key, "ok": false, "target": o.target, "error": err.Error()})
		return nil, errors.Join(err, o.unpin(spec.Name))
	}
	if err := o.pinKept(spec); err != nil {
		return m, err
	}
	step := o.Progress.Step("wait for init")
	m, err = o.ready(ctx, m)
	w.ready(m, err)
	step.Done(err)
	o.log("start", spec.Name, map[string]any{"key": spec.Key, "ok": err == nil, "target": o.target})
	if o.stock != nil && err == nil {
		err = o.configured(ctx, m)
	}
	o.renewSSH(m.SSHDir(), "")
	return m, err
}

// starvation is how a kernel says that it got no processor: the panic when no
// timer interrupt came within the few ticks that it waits for, and the dump of
// the thread that ends grace periods of RCU, which stood still for 21 seconds.
// Only an emulator on a busy host does that.
var starvation = []string{"IO-APIC + timer doesn't work", "rcu_gp_kthread+"}

func starved(err error) bool {
	return err != nil && slices.ContainsFunc(starvation, func(sign string) bool { return strings.Contains(err.Error(), sign) })
}

// launch starts the machine, and follows it until its agent answers. The stages
// of an attempt that starved do not count.
func (o *one) launch(ctx context.Context, spec supervisor.Spec) (*supervisor.Machine, *way, error) {
	step := o.Progress.Step("start " + spec.Name)
	mark := o.stages.Len()
	w := &way{stages: &o.stages}
	m, err := supervisor.Up(ctx, spec, func(e supervisor.Progress) {
		if e.OK && e.Text != "" {
			o.Progress.Note(e.Text)
		}
		if e.Stage != "" {
			step.Note(e.Stage)
			w.told(e)
		}
	})
	step.Done(err)
	if starved(err) {
		o.stages.Truncate(mark)
		w.failed = false
	}
	return m, w, err
}

// way turns moments on the way up into stages, one after the other.
type way struct {
	stages *probe.Stages
	at     float64 // seconds after the start at which the last stage ended
	failed bool
}

func (w *way) add(name string, at float64, err error) {
	w.stages.Add(name, time.Duration(max(at-w.at, 0)*float64(time.Second)), err)
	w.at = max(at, w.at)
}

// told takes in what the supervisor says until the machine can be reached.
func (w *way) told(e supervisor.Progress) {
	var err error
	if !e.OK {
		err, w.failed = errors.New(e.Text), true
	}
	w.add(e.Stage, e.Seconds, err)
}

// ready adds the stages between the agent's answer and init's goal.
func (w *way) ready(m *supervisor.Machine, err error) {
	end := time.Since(m.Started).Seconds()
	if !m.Ready.IsZero() {
		end = m.Ready.Sub(m.Started).Seconds()
	}
	agent := slices.IndexFunc(m.Stages, func(s supervisor.Mark) bool { return s.Name == "agent" })
	for i, mark := range m.Stages {
		if i > agent && mark.Seconds < end && (agent >= 0 || mark.Seconds > w.at) {
			w.add(mark.Name, mark.Seconds, nil)
		}
	}
	w.add("init", end, err)
}

// initDeadline bounds how long init may take to reach its goal. Probes have
// deadlines of their own, which begin when it has. An emulated machine on a
// busy host is slow.
func initDeadline(target string) time.Duration {
	if target == "container" {
		return 2 * time.Minute
	}
	return 6 * time.Minute
}

func (o *one) ready(ctx context.Context, m *supervisor.Machine) (*supervisor.Machine, error) {
	wait, cancel := context.WithTimeout(ctx, initDeadline(o.target))
	defer cancel()
	next, err := m.WaitReady(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return m, nil // slow is not failed: the probes say what is missing
	}
	if err != nil {
		return m, err
	}
	if !next.Running() {
		return next, o.showing(ctx, next, fmt.Errorf("the machine ended while it started: %s", next.Reason))
	}
	return next, nil
}

// prove runs the probes of a machine and makes the report.
func (o *one) prove(ctx context.Context, m *supervisor.Machine) (*probe.Proof, error) {
	reach, err := m.Reach(ctx)
	if err != nil {
		return nil, err
	}
	defer reach.Close()
	begin := time.Now()
	step := o.Progress.Step(fmt.Sprintf("prove %d probes", len(o.d.Probes)))
	way, err := o.prober(reach, m.Name)
	if err != nil {
		return nil, err
	}
	results := probe.Run(ctx, o.d.Probes, way, func(r probe.Result) {
		if !r.OK {
			step.Note(r.Name + ": " + r.Reason)
		}
	})
	o.stages.Add("service", time.Since(begin), o.explain(ctx, m, firstFailure(results)))
	step.Done(ctx.Err())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return o.report(results), nil
}

// explain says when a probe failed because there is no machine any more, and
// what a machine with a console of its own showed there last.
func (o *one) explain(ctx context.Context, m *supervisor.Machine, failure error) error {
	if failure == nil {
		return nil
	}
	now, err := supervisor.Find(o.Runtime, m.Name)
	if err == nil && !now.Running() {
		o.Progress.Note(fmt.Sprintf("%s has ended meanwhile: %s", m.Name, now.Reason))
		failure = fmt.Errorf("the machine has ended: %s; %w", now.Reason, failure)
	}
	if err != nil {
		return failure
	}
	return o.showing(ctx, now, failure)
}

// showing adds what a machine with a console of its own showed there last.
func (o *one) showing(ctx context.Context, m *supervisor.Machine, failure error) error {
	if o.target == "container" {
		return failure
	}
	if lines := m.ConsoleTail(ctx); lines != "" {
		return fmt.Errorf("%w; the console's last lines:\n%s", failure, lines)
	}
	return failure
}

func firstFailure(results []probe.Result) error {
	for _, r := range results {
		if !r.OK {
			return fmt.Errorf("probe %s: %s", r.Name, r.Reason)
		}
	}
	return nil
}

func (o *one) report(probes []probe.Result) *probe.Proof {
	list := o.stages.Results()
	var seconds float64
	for _, s := range list {
		seconds += s.Seconds
	}
	if probes == nil {
		probes = []probe.Result{}
	}
	proof := &probe.Proof{
		Machine: o.d.Name, Definition: o.d.File, Lock: o.lock(),
		Targets: []probe.TargetReport{probe.NewTarget(o.target, seconds, list, probes)},
	}
	o.log("probe", o.d.Name, map[string]any{"ok": proof.OK(), "targets": proof.Targets})
	return proof
}

// lock names the lock that the machine was built from; a stock image has none.
func (o *one) lock() string {
	if o.stock != nil {
		return ""
	}
	return o.result.Prepared.Lock.Digest()
}

// failed is the report of a machine that did not come up; its probes were not tried.
func (o *one) failed(cause error) (*probe.Proof, error) {
	if o.result == nil {
		return nil, cause
	}
	var probes []probe.Result
	for i := range o.d.Probes {
		probes = append(probes, probe.Result{Name: probe.Name(&o.d.Probes[i]), Reason: "not tried: the machine did not start"})
	}
	return o.report(probes), cause
}
