// Package chroot runs a program in a built tree as chroot(8) would: nothing is
// booted, and the program shares the host's network and name. It is the first
// of three levels of running, before containers and virtual machines.
//
// Unlike chroot(8) it needs no root, the tree keeps as it was built (what is
// written is thrown away), and the host's files are not reachable but for the
// folders that are shown.
package chroot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slipway/internal/machine"
	"slipway/internal/sandbox"
)

// Command is a program to run in a tree.
type Command struct {
	Dirs     []string       // the tree as overlay lowers, top first
	Scratch  string         // an empty folder on a real file system, which is removed
	Args     []string       // empty: a shell
	Env      []string       // added to the defined environment
	Shown    []machine.Bind // folders of the host
	Terminal bool           // the files are a terminal
}

const enterWorker = "chroot.enter"

func init() { sandbox.Register(enterWorker, enter) }

// Run runs the program with the given standard files and returns its exit
// status. An error means that it could not be run.
func Run(ctx context.Context, host *sandbox.Host, c Command, files [3]*os.File) (int, error) {
	p, err := host.StartWith(ctx, enterWorker, c, sandbox.StartOptions{Files: files[:], Foreground: c.Terminal})
	if err != nil {
		return 0, err
	}
	status := -1
	for data := range p.Events() {
		if err := json.Unmarshal(data, &status); err != nil {
			return 0, errors.Join(err, p.Wait())
		}
	}
	if err := p.Wait(); err != nil {
		return 0, err
	}
	if status < 0 {
		return 0, errors.New("the program ended without a status")
	}
	return status, nil
}

// enter runs in the worker.
func enter(ctx context.Context, w *sandbox.Worker) (err error) {
	var c Command
	if err := w.Args(&c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.Scratch)) }()
	at := func(name string) string { return filepath.Join(c.Scratch, name) }
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			return err
		}
	}
	if err := sandbox.MountOverlay(c.Dirs, at("upper"), at("work"), at("root")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sandbox.Unmount(at("root"))) }()
	status, err := c.run(ctx, w, at("root"))
	if err != nil {
		return err
	}
	return w.Emit(status)
}

func (c *Command) run(ctx context.Context, w *sandbox.Worker, root string) (int, error) {
	name, err := os.Hostname()
	if err != nil {
		return 0, fmt.Errorf("reading the host's name: %w", err)
	}
	cmd := sandbox.Command{
		Root: root, Args: c.Args, Env: c.Env, Dir: "/root", Hostname: name, Network: true, Resolv: resolv(), RunTmpfs: true,
		Stdin: w.Files[0], Stdout: w.Files[1], Stderr: w.Files[2], Terminal: c.Terminal,
	}
	if _, err := os.Stat(filepath.Join(root, "root")); err != nil {
		cmd.Dir = "/"
	}
	if len(cmd.Args) == 0 {
		cmd.Args = []string{shellOf(root), "-i"}
	}
	for _, b := range c.Shown {
		cmd.Binds = append(cmd.Binds, sandbox.Bind{Source: b.Host, Target: b.Path, ReadOnly: b.ReadOnly})
	}
	result, err := sandbox.Run(ctx, cmd)
	var ended *sandbox.ExitError
	if errors.As(err, &ended) {
		return ended.Result.Code, nil
	}
	return result.Code, err
}

func shellOf(root string) string {
	if _, err := os.Stat(filepath.Join(root, "bin/bash")); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// resolv is the host's list of name servers, if it has one.
func resolv() string {
	const path = "/etc/resolv.conf"
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
