package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/plan"
)

func newLock(env *Env) *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "lock FILE",
		Short: "Pin every package by hash in FILE.lock, keeping what it pins already",
		Long: `Write FILE.lock: every package with its version and SHA-256, the indexes that they
were chosen from, the order of installation, and the numbers of users and groups
that maintainer scripts chose (so the machine is built once). What the lock pins
already is kept; only the difference is resolved. Every later build obeys it.`,
		Example: "  slipway lock web.yaml && git add web.yaml.lock",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.writeLock(cmd.Context(), args[0], flags, build.KeepLocked)
		},
	}
	flags.add(cmd)
	return profiling(env, cmd)
}

func newUpdate(env *Env) *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "update FILE",
		Short: "Renew FILE.lock with the archive's newest versions, and say what changed",
		Long: `Resolve everything anew with the newest signed indexes and write FILE.lock. The
numbers of users and groups are kept. What changed is printed, a line each.`,
		Example: `  slipway update web.yaml && slipway test web.yaml`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.refresh = true
			return env.writeLock(cmd.Context(), args[0], flags, build.TakeNewest)
		},
	}
	flags.add(cmd)
	return profiling(env, cmd)
}

func newOutdated(env *Env) *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "outdated FILE",
		Short: "Compare FILE.lock with the archive; exit 1 when something newer is there",
		Long: `Say what the archive has newer than FILE.lock pins, a line each. Exit status 1 when
there is something, so that a scheduled job can tell.`,
		Example: `  slipway outdated web.yaml || slipway update web.yaml`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, b, err := env.open(args[0])
			if err != nil {
				return err
			}
			flags.refresh = true
			changes, err := b.Outdated(cmd.Context(), d, flags.options(plan.Container))
			if err != nil {
				return err
			}
			if err := env.printChanges(changes, "nothing newer in the archive"); err != nil {
				return err
			}
			if len(changes) > 0 {
				return &statusError{status: exitFailed}
			}
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}

func (e *Env) writeLock(ctx context.Context, file string, flags buildFlags, mode build.LockMode) error {
	d, b, err := e.open(file)
	if err != nil {
		return err
	}
	_, err = os.Stat(build.LockFile(d))
	first := errors.Is(err, fs.ErrNotExist)
	changes, notes, err := b.WriteLock(ctx, d, flags.options(""), mode)
	if err != nil {
		return err
	}
	for _, note := range notes {
		e.reporter().Note(note)
	}
	if first && !e.opt.json { // a list of everything says nothing
		_, err := fmt.Fprintf(e.Stdout, "%s: %d packages\n", build.LockFile(d), len(changes))
		return err
	}
	return e.printChanges(changes, "the lock is as it was")
}

func (e *Env) printChanges(changes []plan.Change, none string) error {
	if e.opt.json {
		if changes == nil {
			changes = []plan.Change{}
		}
		return json.NewEncoder(e.Stdout).Encode(changes)
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(e.Stdout, none)
		return err
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(e.Stdout, c); err != nil {
			return err
		}
	}
	return nil
}
