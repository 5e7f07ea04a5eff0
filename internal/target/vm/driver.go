package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

// Driver starts virtual machines; it is registered for the targets vm, uefi,
// bios, uboot and ram.
type Driver struct{}

var _ supervisor.Driver = Driver{}

// Ready has nothing to ask of the host: without KVM a machine is emulated.
func (Driver) Ready(context.Context, string) error { return nil }

// Check wants something to boot, and memory for it.
func (Driver) Check(spec *supervisor.Spec) error {
	b := spec.Boot
	if b == nil || b.Kernel == "" && b.Disk == "" {
		return errors.New("a virtual machine needs a disk or a kernel")
	}
	for _, path := range []string{b.Disk, b.Kernel, b.Initrd} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not there: build it again", path)
		}
	}
	if have := int64(memory(spec)); b.Memory > have {
		return fmt.Errorf("it needs %s of memory and vm.memory is %s: make it larger", size(b.Memory), size(have))
	}
	return nil
}

// defaultMemory is what a machine has when it says nothing and needs no more.
const defaultMemory = 1 << 30

// memory is what the machine gets.
func memory(spec *supervisor.Spec) machine.Size {
	if m := spec.Definition.VM.Memory; m > 0 {
		return m
	}
	return max(defaultMemory, machine.Size(spec.Boot.Memory))
}

// size writes bytes as definitions do.
func size(n int64) string {
	const mega = 1 << 20
	return strconv.FormatInt((n+mega-1)/mega, 10) + "M"
}

// Parts are the definition's keys for virtual machines alone. What changes the
// image has changed the build.
func (Driver) Parts(d *machine.Definition) []supervisor.Part {
	return []supervisor.Part{{Name: "vm", Value: d.VM}}
}

// Sweep ends QEMU and its helpers, which a killed supervisor may have left:
// each trace is a process id and the time of its start.
func (Driver) Sweep(traces []string, _ int) error {
	var errs []error
	for _, trace := range traces {
		pid, start, _ := strings.Cut(trace, " ")
		n, err := strconv.Atoi(pid)
		if err != nil || n <= 1 || startOf(n) != start {
			continue // it has ended, and the number may be another's
		}
		if err := unix.Kill(n, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("ending process %d: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

// trace names a process for Sweep.
func trace(pid int) string { return strconv.Itoa(pid) + " " + startOf(pid) }

// startOf is a process's start in clock ticks since boot (proc(5), stat), by
// which a process is told from another that got its number; empty: there is none.
func startOf(pid int) string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// The second field is the program's name in brackets and may hold anything.
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(f) < 20 {
		return ""
	}
	return f[19]
}

// Open prepares the folder; the overlay is made when the machine starts.
func (Driver) Open(h *supervisor.Host) (supervisor.Body, error) {
	b := &body{Host: h}
	if len(h.Spec.Boot.QEMU) == 0 {
		return nil, errors.New("the programs that run virtual machines were not looked for")
	}
	if err := json.Unmarshal(h.Spec.Boot.QEMU, &b.programs); err != nil {
		return nil, fmt.Errorf("decoding where QEMU is: %w", err)
	}
	return b, nil
}
