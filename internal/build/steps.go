package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/apply"
	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// distroJob is the installation as the family sees it.
func (b *work) distroJob(t *staged) *distro.Job {
	return &distro.Job{
		Root: t.root, Definition: b.definition, Class: b.Class, Base: b.Base, Rest: b.Rest, Lock: b.Lock,
		SkipInitramfs: noInitramfs(b.definition, b.Class),
		Epoch:         b.Lock.Date.Unix(),
		Pack:          func(ctx context.Context, sum string) (*store.Pack, error) { return b.supply.pack(ctx, sum) },
		Command: func(ctx context.Context, c sandbox.Command) error {
			c.Root, c.NoSync = t.root, true
			b.known.program()
			_, err := t.scripts.Run(ctx, c)
			return err
		},
		Step:     func(name string) { b.step("%s", name) },
		Log:      func(text string) { b.emit(event{Log: text}) },
		Unpacked: b.known.add,
		Device:   func(e tree.Entry) { t.devices = append(t.devices, e) },
	}
}

// base is finished like a tree of its own: what only its making left behind
// would make the layers above differ from build to build.
func (b *work) base(t *staged) error {
	j := b.distroJob(t)
	if err := b.installer.Base(b.ctx, j); err != nil {
		return err
	}
	return b.installer.Finish(b.ctx, j)
}

// system installs what many machines have alike. It is finished like the base.
func (b *work) system(t *staged) error {
	j := b.distroJob(t)
	j.Steps = b.Shared.Steps
	if err := b.installer.System(b.ctx, j); err != nil {
		return err
	}
	return b.installer.Finish(b.ctx, j)
}

func (b *work) packages(t *staged) error {
	j := b.distroJob(t)
	j.Steps = b.Added.Steps
	if err := b.installer.Packages(b.ctx, j); err != nil {
		return err
	}
	if err := b.installer.Finish(b.ctx, j); err != nil {
		return err
	}
	if err := renumber(t.root, b.Lock.Users, b.Lock.Groups); err != nil {
		return fmt.Errorf("giving users and groups the lock's numbers: %w", err)
	}
	return nil
}

func (b *work) definitionLayer(t *staged) error {
	b.step("apply the definition")
	j := b.distroJob(t)
	quiet, err := b.installer.Quiet(j)
	if err != nil {
		return err
	}
	err = apply.Apply(b.ctx, t.root, b.definition, b.applyEnv(t))
	for _, c := range b.definition.Hooks.Customize {
		if err == nil {
			if err = b.run(t, c); err != nil {
				err = fmt.Errorf("%s: hooks.customize: %w", c.Pos, err)
			}
		}
	}
	return errors.Join(err, quiet())
}

func (b *work) secretLayer(t *staged) error {
	b.step("add the secrets")
	return apply.ApplySecrets(b.ctx, t.root, b.definition, b.applyEnv(t))
}

func (b *work) applyEnv(t *staged) apply.Env {
	return apply.Env{
		Run: func(ctx context.Context, c machine.Command) error { return b.run(t, c) },
		Fetch: func(_ context.Context, url, sum string) (string, error) {
			path, ok := b.Sources[sum]
			if !ok {
				return "", fmt.Errorf("%s was not fetched", url)
			}
			return path, nil
		},
		Secret: b.Secrets.get,
		IDs:    b.Lock.Users,
		Init:   knownInit(b.definition),
		Family: b.definition.Family(), Container: b.Class == plan.Container,
		Date: b.Lock.Date.Unix(),
	}
}

// knownInit is "" for a root archive with init: auto: the tree says what it has.
func knownInit(d *machine.Definition) string {
	if d.FromTarball() && d.Init == "auto" {
		return ""
	}
	return d.InitSystem()
}

// commandDeadline ends a command that hangs; nobody may be there to notice.
const commandDeadline = time.Hour

// run runs a command of the definition in the tree.
func (b *work) run(t *staged, c machine.Command) error {
	b.step("run: %s", firstLine(c.Command))
	var tail tailBuffer
	cmd := sandbox.Command{
		Root: t.root, Args: []string{"/bin/sh", "-c", c.Command}, Network: c.Network,
		Env:    []string{"DEBIAN_FRONTEND=noninteractive", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.Lock.Date.Unix())},
		Stdout: io.MultiWriter(&tail, logWriter{b}), RunTmpfs: true, NoSync: true,
		Timeout: commandDeadline,
	}
	cmd.Stderr = cmd.Stdout
	if c.Network {
		cmd.Resolv = "/etc/resolv.conf"
	}
	b.known.program()
	if _, err := sandbox.Run(b.ctx, cmd); err != nil {
		return fmt.Errorf("%w\n%s", err, tail.text())
	}
	return nil
}

func firstLine(s string) string {
	line, _, more := bytes.Cut([]byte(s), []byte("\n"))
	if more || len(line) > 60 {
		return fmt.Sprintf("%.60s...", line)
	}
	return string(line)
}

// logWriter passes output on to whoever watches the build.
type logWriter struct{ b *work }

func (w logWriter) Write(p []byte) (int, error) {
	w.b.emit(event{Log: string(p)})
	return len(p), nil
}

// tailBuffer keeps the last output of a command for its error message.
type tailBuffer struct{ data []byte }

const tailBytes = 4 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailBytes; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) text() string { return string(bytes.TrimSpace(t.data)) }

// drawn is how long the caller has to take its progress off the terminal.
const drawn = 200 * time.Millisecond

// debugShell lets a person look at a tree in which a step failed.
func (b *work) debugShell(t *staged, cause error) {
	if len(b.worker.Files) < 3 {
		return
	}
	in, out := b.worker.Files[0], b.worker.Files[2]
	b.emit(event{Shell: true})
	time.Sleep(drawn)
	fmt.Fprintf(out, "slipway: %v\nslipway: a shell in the tree follows; exit discards it\n", cause)
	shell := "/bin/sh"
	if _, err := os.Stat(filepath.Join(t.root, "bin/bash")); err == nil {
		shell = "/bin/bash"
	}
	_, err := sandbox.Run(b.ctx, sandbox.Command{
		Root: t.root, Args: []string{shell, "-i"}, Stdin: in, Stdout: out, Stderr: out, Terminal: true,
		Env: []string{"TERM=" + os.Getenv("TERM")},
	})
	if err != nil {
		fmt.Fprintf(out, "slipway: the shell ended: %v\n", err)
	}
}
