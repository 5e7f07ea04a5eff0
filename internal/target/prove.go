package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/probe"
	"slipway/internal/target/supervisor"
)

// TestOptions say how a machine is tested.
type TestOptions struct {
	Build    build.Options
	On       []string // targets; default container
	Parallel int      // targets at a time; default 1
}

// Test starts the machine on each target under a name of its own, without
// published ports, proves it and takes it down again. A target that fails does
// not keep the others from being tried.
func (p *Prover) Test(ctx context.Context, d *machine.Definition, opt TestOptions) (*probe.Proof, error) {
	if len(opt.On) == 0 {
		opt.On = []string{"container"}
	}
	for _, target := range opt.On {
		if err := p.check(ctx, d, target); err != nil {
			return nil, err
		}
	}
	proofs, errs := make([]*probe.Proof, len(opt.On)), make([]error, len(opt.On))
	slots := make(chan struct{}, max(opt.Parallel, 1))
	var all sync.WaitGroup
	for i, target := range opt.On {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				errs[i] = ctx.Err()
				return
			}
			proofs[i], errs[i] = p.testOn(ctx, d, target, opt.Build)
			if errs[i] != nil && len(opt.On) > 1 {
				errs[i] = fmt.Errorf("%s: %w", target, errs[i])
			}
		})
	}
	all.Wait()
	return joinProofs(proofs), errors.Join(errs...)
}

// joinProofs makes one report of those of several targets; nil of none.
func joinProofs(proofs []*probe.Proof) *probe.Proof {
	var whole *probe.Proof
	for _, p := range proofs {
		switch {
		case p == nil:
		case whole == nil:
			copied := *p
			whole = &copied
		default:
			whole.Targets = append(whole.Targets, p.Targets...)
		}
	}
	return whole
}

// testOn tests the machine on one target.
func (p *Prover) testOn(ctx context.Context, d *machine.Definition, target string, opt build.Options) (proof *probe.Proof, err error) {
	o := p.run(d, target)
	spec, err := o.make(ctx, opt, asNamed(d), testName(d.Name, target))
	if err != nil {
		return o.failed(err)
	}
	spec.StateDir = spec.RunDir + ".state" // a test never touches kept data
	defer p.clear(spec, &err)
	m, err := o.start(ctx, spec)
	if err != nil {
		return o.failed(err)
	}
	return o.prove(ctx, m)
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

// testName is unique per process and target, short enough for a host label.
func testName(name, target string) string {
	kind := "test"
	if target != "container" {
		kind = target
	}
	suffix := "-" + kind + "-" + strconv.Itoa(os.Getpid())
	if len(name)+len(suffix) > 63 {
		name = name[:63-len(suffix)]
	}
	return name + suffix
}

// clear takes a test machine down, also when the test was interrupted.
func (p *Prover) clear(spec supervisor.Spec, err *error) {
	name := spec.Name
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	step := p.Progress.Step("stop " + name)
	end := (*supervisor.Machine).Down
	if spec.Target != "container" {
		end = (*supervisor.Machine).Discard // its disks go too
	}
	downErr := p.down(ctx, name, end)
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
	return p.down(ctx, name, (*supervisor.Machine).Down)
}

func (p *Prover) down(ctx context.Context, name string, end func(*supervisor.Machine, context.Context) error) error {
	m, err := supervisor.Find(p.Runtime, name)
	if err != nil {
		return err
	}
	if err := end(m, ctx); err != nil {
		return err
	}
	p.log("stop", name, map[string]any{"ok": true})
	p.renewSSH(m.SSHDir(), name)
	return p.unpin(name)
}
