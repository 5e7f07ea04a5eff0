package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slipway/internal/sandbox"
)

// emulator finds the program by which this computer runs the programs of a
// machine of another architecture; "" when it runs them itself.
func (b *Builder) emulator(ctx context.Context, arch string) (string, error) {
	program, err := sandbox.Emulator(arch)
	if err != nil || program == "" {
		return "", err
	}
	if b.Tools == nil {
		return "", fmt.Errorf("building for %s: this slipway has no emulator", arch)
	}
	path, err := b.Tools.Path(ctx, "qemu-user", filepath.Join("/usr/bin", program))
	if err != nil {
		return "", fmt.Errorf("building for %s, whose programs this computer cannot run: %w", arch, err)
	}
	return path, nil
}

// emulate readies the worker to run the machine's programs.
func (b *work) emulate() error {
	if b.Emulator == "" {
		return nil
	}
	scratch, err := os.MkdirTemp("", "slipway-formats-")
	if err != nil {
		return err
	}
	// It is empty on disk: what is mounted there is seen by this worker alone.
	defer os.Remove(scratch)
	err = sandbox.Emulate(b.definition.Arch, b.Emulator, scratch)
	if errors.Is(err, sandbox.ErrNoPrivateFormats) {
		return fmt.Errorf("building for %s: %w; install qemu-user-static (package qemu-user-binfmt) on this host, which registers an emulator for all, or build on a computer of that architecture", b.definition.Arch, err)
	}
	return err
}
