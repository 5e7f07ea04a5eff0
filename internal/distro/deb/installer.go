package deb

import (
	"context"
	"errors"
	"fmt"
	"io"

	"slipway/internal/distro"
	"slipway/internal/distro/deb/install"
	"slipway/internal/plan"
	"slipway/internal/sandbox"
)

// Installer is the family's part of a build inside the sandbox worker.
type Installer struct{}

var _ distro.Installer = Installer{}

// open prepares package install for the job's tree.
func open(job *distro.Job) (*install.Installer, error) {
	return install.New(install.Options{
		Root: job.Root, Arch: job.Definition.Arch, Epoch: job.Epoch,
		Open: job.Pack, Run: runner(job), Log: logger{job}, Step: func(what string) { job.Log(what + "\n") }, Unpacked: job.Unpacked,
		SkipInitramfs: job.SkipInitramfs,
	})
}

// tellDevices passes on the nodes that could not be made.
func tellDevices(in *install.Installer, job *distro.Job) {
	for _, e := range in.Devices() {
		job.Device(e)
	}
}

func runner(job *distro.Job) install.RunFunc {
	return func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error {
		return job.Command(ctx, sandbox.Command{Args: args, Env: env, Stdin: stdin, Stdout: out, Stderr: out, RunTmpfs: false})
	}
}

type logger struct{ job *distro.Job }

func (l logger) Write(p []byte) (int, error) {
	l.job.Log(string(p))
	return len(p), nil
}

// Base makes the essential set: unpacked without scripts, then configured by
// the tree's own dpkg.
func (Installer) Base(ctx context.Context, job *distro.Job) (err error) {
	in, err := open(job)
	if err != nil {
		return err
	}
	defer in.Close()
	sources, err := AptFiles(job.Definition)
	if err != nil {
		return err
	}
	err = in.Seed(install.SeedConfig{
		Release:    job.Definition.Release(),
		Sources:    sources,
		Users:      job.Lock.Users,
		Groups:     job.Lock.Groups,
		Recommends: job.Definition.Recommends,
	})
	if err != nil {
		return err
	}
	base := packages(job.Base)
	job.Step(fmt.Sprintf("unpack the base set, %d packages", len(base)))
	if err := in.Extract(ctx, base); err != nil {
		return err
	}
	guard, err := in.Guard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guard()) }()
	job.Step("configure the base set")
	return in.InstallBase(ctx, base)
}

// System follows the first steps of a lock.
func (Installer) System(ctx context.Context, job *distro.Job) (err error) {
	in, err := open(job)
	if err != nil {
		return err
	}
	defer in.Close()
	defer tellDevices(in, job)
	guard, err := in.Guard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guard()) }()
	return steps(ctx, in, job)
}

// Packages follows the lock's steps, or those that System has left.
func (Installer) Packages(ctx context.Context, job *distro.Job) (err error) {
	in, err := open(job)
	if err != nil {
		return err
	}
	defer in.Close()
	defer tellDevices(in, job)
	guard, err := in.Guard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guard()) }()
	if len(job.Definition.Debconf) > 0 {
		job.Step("answer debconf's questions")
		if err := in.Preseed(ctx, job.Definition.Debconf, packages(job.Rest)...); err != nil {
			return err
		}
	}
	if err := essentialHooks(ctx, job); err != nil {
		return err
	}
	if err := steps(ctx, in, job); err != nil {
		return err
	}
	return in.MarkAuto(autoInstalled(job))
}

func steps(ctx context.Context, in *install.Installer, job *distro.Job) error {
	byName := map[string]install.Package{}
	for i, p := range packages(job.Rest) {
		byName[job.Rest[i].Name+":"+job.Rest[i].Arch] = p
	}
	for _, s := range job.Steps {
		group := make([]install.Package, len(s.Packages))
		for i, name := range s.Packages {
			p, ok := byName[name]
			if !ok {
				return fmt.Errorf("the lock's steps name %s, which it does not pin (write it anew with: slipway update)", name)
			}
			group[i] = p
		}
		if err := step(ctx, in, job, s.Op, group); err != nil {
			return err
		}
	}
	return nil
}

func step(ctx context.Context, in *install.Installer, job *distro.Job, op string, group []install.Package) error {
	switch op {
	case "unpack":
		job.Step(say("unpack", group))
		return in.Unpack(ctx, group)
	case "configure":
		job.Step(say("configure", group))
		return in.Configure(ctx, group)
	case "configure-pending":
		job.Step("run the triggers")
		return in.ConfigurePending(ctx)
	}
	return fmt.Errorf("the lock has an unknown step %q", op)
}

func say(verb string, group []install.Package) string {
	if len(group) == 1 {
		return verb + " " + group[0].Name
	}
	return fmt.Sprintf("%s %d packages", verb, len(group))
}

func essentialHooks(ctx context.Context, job *distro.Job) error {
	for _, c := range job.Definition.Hooks.Essential {
		job.Step("run: " + c.Command)
		log := logger{job}
		err := job.Command(ctx, sandbox.Command{Args: []string{"/bin/sh", "-c", c.Command}, Network: c.Network, Stdout: log, Stderr: log})
		if err != nil {
			return fmt.Errorf("%s:%d: hooks.essential: %w", c.Pos.File, c.Pos.Line, err)
		}
	}
	return nil
}

func packages(list []plan.Package) []install.Package {
	out := make([]install.Package, len(list))
	for i, p := range list {
		out[i] = install.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, SHA256: p.SHA256}
	}
	return out
}

func autoInstalled(job *distro.Job) []install.Package {
	var auto []plan.Package
	for _, p := range append(append([]plan.Package(nil), job.Base...), job.Rest...) {
		if p.Auto {
			auto = append(auto, p)
		}
	}
	return packages(auto)
}

// Quiet keeps services from starting while the definition's commands run.
func (Installer) Quiet(job *distro.Job) (undo func() error, err error) {
	in, err := open(job)
	if err != nil {
		return nil, err
	}
	guard, err := in.Guard()
	if err != nil {
		in.Close()
		return nil, err
	}
	return func() error {
		err := guard()
		in.Close()
		return err
	}, nil
}

// Finish removes what only the build needed.
func (Installer) Finish(ctx context.Context, job *distro.Job) error {
	in, err := open(job)
	if err != nil {
		return err
	}
	defer in.Close()
	defer tellDevices(in, job)
	return in.Finish()
}
