package apk

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/distro/apk/install"
	"slipway/internal/plan"
	"slipway/internal/sandbox"
)

// Installer is the family's part of a build inside the sandbox worker.
type Installer struct{}

var _ distro.Installer = Installer{}

func open(job *distro.Job) (*install.Installer, error) {
	return install.New(install.Options{
		Root: job.Root, Epoch: job.Epoch, Open: job.Pack, Run: runner(job), Log: logger{job},
		Step: func(what string) { job.Log(what + "\n") }, Unpacked: job.Unpacked,
	})
}

func runner(job *distro.Job) install.RunFunc {
	return func(ctx context.Context, args, env []string, out io.Writer) error {
		return job.Command(ctx, sandbox.Command{Args: args, Env: env, Stdout: out, Stderr: out})
	}
}

type logger struct{ job *distro.Job }

func (l logger) Write(p []byte) (int, error) {
	l.job.Log(string(p))
	return len(p), nil
}

// with opens the tree for one call and passes on its device nodes.
func with(job *distro.Job, do func(in *install.Installer) error) error {
	in, err := open(job)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := do(in); err != nil {
		return err
	}
	for _, e := range in.Devices() {
		job.Device(e)
	}
	return nil
}

// Base makes the base set, as apk add --initdb does.
func (Installer) Base(ctx context.Context, job *distro.Job) error {
	files, err := told(job.Definition)
	if err != nil {
		return err
	}
	arch, err := archive.Arch(job.Definition.Arch)
	if err != nil {
		return err
	}
	set, err := baseSet(job.Definition)
	if err != nil {
		return err
	}
	return with(job, func(in *install.Installer) error {
		if err := in.Seed(arch, files); err != nil {
			return err
		}
		job.Step(fmt.Sprintf("install the base set, %d packages", len(job.Base)))
		if err := in.Install(ctx, packages(job.Base)); err != nil {
			return err
		}
		return in.Finish(ctx, set, names(job.Base))
	})
}

// System follows the first steps of a lock; the family makes none.
func (i Installer) System(ctx context.Context, job *distro.Job) error { return i.Packages(ctx, job) }

// Packages adds the rest, and what a machine that boots needs of its init.
func (Installer) Packages(ctx context.Context, job *distro.Job) error {
	return with(job, func(in *install.Installer) error { return follow(ctx, in, job) })
}

// follow does the lock's steps.
func follow(ctx context.Context, in *install.Installer, job *distro.Job) error {
	byName := map[string]plan.Package{}
	for _, p := range job.Rest {
		byName[p.Name+":"+p.Arch] = p
	}
	order, world := append(append([]plan.Package(nil), job.Base...), job.Rest...), []string(nil)
	for _, s := range job.Steps {
		switch s.Op {
		case "unpack":
			var group []plan.Package
			for _, name := range s.Packages {
				p, ok := byName[name]
				if !ok {
					return fmt.Errorf("the lock's steps name %s, which it does not pin (write it anew with: slipway update)", name)
				}
				group = append(group, p)
			}
			job.Step(say(group))
			if err := in.Install(ctx, packages(group)); err != nil {
				return err
			}
		case "world":
			world = s.Packages
		case "runlevels":
			if err := in.Runlevels(slices.Contains(s.Packages, string(plan.Container))); err != nil {
				return err
			}
		case "configure-pending":
			job.Step("run the triggers")
			if err := in.Finish(ctx, world, names(order)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the lock has an unknown step %q", s.Op)
		}
	}
	return nil
}

func say(group []plan.Package) string {
	if len(group) == 1 {
		return "install " + group[0].Name
	}
	return fmt.Sprintf("install %d packages", len(group))
}

func packages(list []plan.Package) []install.Package {
	out := make([]install.Package, len(list))
	for i, p := range list {
		out[i] = install.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, SHA256: p.SHA256, Size: p.Size}
		if tag, ok := strings.CutPrefix(p.Suite, "@"); ok {
			out[i].Tag = tag
		}
	}
	return out
}

func names(list []plan.Package) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.Name
	}
	return out
}

// Quiet has nothing to do: OpenRC starts nothing in a tree that it has not
// booted, and Alpine's scripts do not ask it to.
func (Installer) Quiet(*distro.Job) (undo func() error, err error) {
	return func() error { return nil }, nil
}

// Finish removes what only the build needed.
func (Installer) Finish(_ context.Context, job *distro.Job) error {
	return with(job, func(in *install.Installer) error { return in.Clean() })
}
