package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/qemu"
)

// Finder finds foreign programs, and fetches them when they are not there;
// *tools.Tools is one.
type Finder interface {
	Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error)
	Root(ctx context.Context, set string) (string, error)
}

// programs are foreign programs as they were found by the caller of slipway.
// The supervisor, which is another process in another network, starts them.
type programs struct {
	Commands map[string]command `json:"commands"` // by "set/program"
	Roots    map[string]string  `json:"roots"`    // by set
	Accel    *qemu.Accel        `json:"accel"`
}

type command struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
}

// Find readies the programs for a machine: QEMU, and what its shares and its
// TPM need. The result goes into supervisor.Boot. How machines run here is
// remembered in the folder memo; slow is one sentence about it, if it is slow.
func Find(ctx context.Context, f Finder, d *machine.Definition, memo string) (found json.RawMessage, slow string, err error) {
	p := programs{Commands: map[string]command{}, Roots: map[string]string{}}
	set, program := "qemu", "qemu-system-x86_64"
	if d.Arch == "arm64" {
		set, program = "qemu-arm", "qemu-system-aarch64"
	}
	if err := p.add(ctx, f, set, program); err != nil {
		return nil, "", err
	}
	if d.Boots("uboot") {
		root, err := f.Root(ctx, "uboot")
		if err != nil {
			return nil, "", err
		}
		p.Roots["uboot"] = root
	}
	if len(d.Shares) > 0 {
		_ = p.add(ctx, f, "virtiofsd", "virtiofsd") // without it shares are 9p
	}
	if d.VM.TPM {
		if err := p.add(ctx, f, "swtpm", "swtpm"); err != nil {
			return nil, "", err
		}
	}
	if p.Accel, err = qemu.Accelerator(ctx, &p, d.Arch, memo); err != nil {
		return nil, "", err
	}
	found, err = json.Marshal(p)
	return found, p.Accel.Why, err
}

func (p *programs) add(ctx context.Context, f Finder, set, program string) error {
	cmd, err := f.Command(ctx, set, program)
	if err != nil {
		return err
	}
	root, err := f.Root(ctx, set)
	if err != nil {
		return err
	}
	p.Commands[set+"/"+program] = command{cmd.Path, cmd.Args, cmd.Env}
	p.Roots[set] = root
	return nil
}

// Command readies a program.
func (p *programs) Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error) {
	c, ok := p.Commands[set+"/"+program]
	if !ok {
		return nil, fmt.Errorf("the machine was started without the tools %s", set)
	}
	cmd := exec.CommandContext(ctx, c.Path)
	cmd.Args = append(append([]string{}, c.Args...), args...)
	cmd.Env = c.Env
	return cmd, nil
}

// Path is where a file of a set lies.
func (p *programs) Path(_ context.Context, set, name string) (string, error) {
	root, ok := p.Roots[set]
	if !ok {
		return "", fmt.Errorf("the machine was started without the tools %s", set)
	}
	full := filepath.Join(root, name)
	if target, err := os.Readlink(full); err == nil && strings.HasPrefix(target, "/") {
		full = filepath.Join(root, target)
	}
	full, err := filepath.EvalSymlinks(full)
	if err != nil {
		return "", fmt.Errorf("the tools %s have no %s: %w", set, name, err)
	}
	return full, nil
}
