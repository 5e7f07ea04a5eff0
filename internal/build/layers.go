package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/trace"
)

// job tells the worker what to build.
type job struct {
	Store      string
	System     string
	Definition json.RawMessage
	Class      plan.Class
	Base, Rest []plan.Package
	Shared     plan.Turn
	Added      plan.Turn
	Lock       *plan.Lock
	Layers     []Layer
	Sources    map[string]string // address: path of the fetched file
	Secrets    *secrets
	Emulator   string // program that runs the machine's programs on this computer; "": none is needed
	Debug      bool
	Verbose    bool
}

// supplied tells the worker that a package's pack is in the store, or that
// supplying ended.
type supplied struct {
	SHA256 string `json:",omitempty"`
	Fresh  bool   `json:",omitempty"` // it was written just now, from a verified package
	Failed string `json:",omitempty"`
}

// event is what the worker reports.
type event struct {
	Step string `json:",omitempty"` // a step begins; the one before ended
	Note string `json:",omitempty"`
	Log  string `json:",omitempty"` // output of maintainer scripts
	// Shell: the step failed and a debug shell has the terminal now.
	Shell bool `json:",omitempty"`
}

// makeLayers runs the worker beside the supply of packages: configuring starts
// as soon as the first packages are unpacked.
func (b *Builder) makeLayers(ctx context.Context, p *Prepared, layers []Layer, opt Options, result *Result) error {
	defer trace.Region("make layers")()
	family, err := b.family(p.Definition)
	if err != nil {
		return err
	}
	for _, dir := range b.Store.Abandoned() {
		if err := b.RemoveAll(dir); err != nil {
			b.Progress.Note(fmt.Sprintf("what an earlier build left could not be removed: %v", err))
		}
	}
	j, err := b.job(ctx, p, layers, opt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var options sandbox.StartOptions
	if opt.DebugShell {
		options.Foreground = true
		options.Files = []*os.File{os.Stdin, os.Stdout, os.Stderr}
	}
	proc, err := b.Host.StartWith(ctx, "build", j, options)
	if err != nil {
		return err
	}
	s := &supply{b: b, family: family, offline: opt.Offline}
	supplyErr := make(chan error, 1)
	go func() {
		err := s.run(ctx, p, wanted(p, layers), func(m supplied) error {
			if proc.Send(m) != nil {
				return errWorkerGone
			}
			return nil
		})
		if err != nil {
			proc.Send(supplied{Failed: err.Error()}) // the worker may be gone: then Wait says why
		}
		supplyErr <- err
	}()
	end := b.follow(proc)
	workErr := proc.Wait()
	end(workErr)
	cancel()
	err = <-supplyErr
	result.Fetched, result.Reused = s.fetched.Load(), s.reused
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errWorkerGone) {
		return err
	}
	return b.explain(workErr)
}

// explain adds the remedy to an error of the worker, whose kind is lost on the
// way here: only its words are left.
func (b *Builder) explain(err error) error {
	if err != nil && strings.Contains(err.Error(), unix.ENOSPC.Error()) && !strings.Contains(err.Error(), "--store") {
		return fmt.Errorf("%w; make room in %s (`slipway store gc`) or use a store elsewhere with --store DIR", err, b.Store.Dir())
	}
	return err
}

// errWorkerGone ends the supply when nobody needs it any more: the worker says why.
var errWorkerGone = errors.New("the build has ended")

// wanted lists the packages whose contents the missing layers need.
func wanted(p *Prepared, layers []Layer) []plan.Package {
	var out []plan.Package
	for _, l := range layers {
		switch l.Kind {
		case "base":
			out = append(out, p.Base...)
		case "system":
			out = append(out, p.Shared.Packages...)
		case "packages":
			out = append(out, p.Added.Packages...)
		}
	}
	return out
}

func (b *Builder) job(ctx context.Context, p *Prepared, layers []Layer, opt Options) (*job, error) {
	sources, err := b.fetchSources(ctx, p.Definition, opt.Offline)
	if err != nil {
		return nil, err
	}
	sec, err := b.readSecrets(p.Definition, layers)
	if err != nil {
		return nil, err
	}
	emulator, err := b.emulator(ctx, p.Definition.Arch)
	if err != nil {
		return nil, err
	}
	return &job{
		Store: b.Store.Dir(), System: p.Definition.System, Definition: encode(p.Definition), Class: p.Class,
		Base: p.Base, Rest: p.Rest, Shared: p.Shared, Added: p.Added, Lock: p.Lock, Layers: layers, Sources: sources, Secrets: sec,
		Emulator: emulator, Debug: opt.DebugShell,
	}, nil
}

// follow shows the worker's events until it ends. The last step is still open
// then: the returned function ends it with the worker's outcome.
func (b *Builder) follow(proc *sandbox.Proc) (end func(error)) {
	var step *progress.Step
	var name string
	var begin time.Time
	end = func(err error) {
		if step != nil {
			step.Done(err)
			trace.Add("worker", name, begin, time.Since(begin))
		}
		step = nil
	}
	for raw := range proc.Events() {
		var e event
		if err := json.Unmarshal(raw, &e); err != nil {
			b.Progress.Note(fmt.Sprintf("unreadable event from the build: %v", err))
			continue
		}
		switch {
		case e.Shell:
			end(errStepFailed) // nothing is drawn over the shell
		case e.Step != "":
			end(nil)
			name, begin = e.Step, time.Now()
			step = b.Progress.Step(e.Step)
		case e.Note != "":
			b.Progress.Note(e.Note)
		case e.Log != "":
			b.Progress.Log(e.Log)
		}
	}
	return end
}

var errStepFailed = errors.New("it failed")
