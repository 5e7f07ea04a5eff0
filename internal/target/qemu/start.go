package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/target/qemu/qmp"
)

// startTime is how long QEMU may take until it answers; a busy host is slow.
const startTime = 60 * time.Second

// starter holds what a start has made so far, to undo it on an error.
type starter struct {
	c       Config
	w       wiring
	vm      *VM
	qmp     net.Conn
	files   []*os.File // for QEMU, in the order of their numbers
	helpers []*process
	conns   []net.Conn
}

// Start checks a configuration, starts the machine and lets it run. QEMU and
// its helpers end when this process does. The context bounds the start alone.
// Descriptors of network cards are taken over, whatever happens.
func Start(ctx context.Context, c Config) (*VM, error) {
	s := &starter{c: c.defaults()}
	vm, err := s.start(ctx)
	if err != nil {
		s.undo()
		return nil, err
	}
	return vm, nil
}

func (s *starter) start(ctx context.Context) (*VM, error) {
	if err := s.c.check(); err != nil {
		s.dropCables()
		return nil, err
	}
	s.vm = &VM{Name: s.c.Name, Shares: s.c.Shares, stderr: new(tail), oom: oomKills(), config: &s.c}
	err := s.c.checkHost()
	for _, step := range []func(context.Context) error{s.accel, s.firmware, s.channels} {
		if err == nil {
			err = step(ctx)
		}
	}
	s.cables()
	for _, step := range []func(context.Context) error{s.shares, s.tpm, s.run} {
		if err == nil {
			err = step(ctx)
		}
	}
	return s.vm, err
}

func (s *starter) dropCables() {
	for _, n := range s.c.NICs {
		for _, f := range []*os.File{n.Tap, n.Stream} {
			if f != nil {
				f.Close()
			}
		}
	}
}

// undo ends and closes everything after a failed start.
func (s *starter) undo() {
	for _, f := range s.files {
		f.Close()
	}
	for _, c := range s.conns {
		c.Close()
	}
	for _, h := range s.helpers {
		h.kill()
	}
}

// give plans to hand a file to QEMU and returns its number there.
func (s *starter) give(f *os.File) int {
	s.files = append(s.files, f)
	return 2 + len(s.files)
}

func (s *starter) accel(ctx context.Context) (err error) {
	a := s.c.Accel
	if a == nil {
		if a, err = Accelerator(ctx, s.c.Programs, s.c.Arch, ""); err != nil {
			return err
		}
	}
	s.w.accel, s.vm.Accel = *a, *a
	s.w.dirs = dataDirs(ctx, s.c.Programs, s.c.set())
	return nil
}

// firmwares are UEFI's code and template of variables.
var firmwares = map[string][2]string{
	"amd64": {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	"arm64": {"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
}

// ubootPrograms are what the processor starts with.
var ubootPrograms = map[string]string{"arm64": "/usr/lib/u-boot/qemu_arm64/u-boot.bin"}

func (s *starter) firmware(ctx context.Context) (err error) {
	switch s.c.Boot.Firmware {
	case "uboot":
		s.w.bios, err = s.c.Programs.Path(ctx, "uboot", ubootPrograms[s.c.Arch])
		return err
	case "uefi":
	default:
		return nil
	}
	files := firmwares[s.c.Arch]
	if s.w.code, err = s.c.Programs.Path(ctx, s.c.set(), files[0]); err != nil {
		return err
	}
	template, err := s.c.Programs.Path(ctx, s.c.set(), files[1])
	if err != nil {
		return err
	}
	s.w.vars = or(s.c.Boot.Vars, filepath.Join(s.c.RunDir, "uefi-variables"))
	return copyOnce(template, s.w.vars)
}

// copyOnce makes a file of the same bytes, unless there is one already.
func copyOnce(from, to string) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return fmt.Errorf("making the machine's UEFI variables: %w", err)
	}
	defer os.Remove(out.Name()) // gone after the rename
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("making the machine's UEFI variables: %w", err)
	}
	return nil
}

// channels makes the connections for QMP, console and agent.
func (s *starter) channels(context.Context) error {
	for _, ch := range []struct {
		name   string
		number *int
		to     *net.Conn
		skip   bool
	}{{"qmp", &s.w.qmp, &s.qmp, false}, {"console", &s.w.console, &s.vm.Console, false}, {"agent", &s.w.agent, &s.vm.Agent, s.c.NoAgent}} {
		if ch.skip {
			continue
		}
		ours, theirs, err := pair(ch.name)
		if err != nil {
			return err
		}
		s.conns = append(s.conns, ours)
		*ch.to, *ch.number = ours, s.give(theirs)
	}
	return nil
}

// cables plans to hand over the network cards' descriptors.
func (s *starter) cables() {
	s.w.nics = make([]int, len(s.c.NICs))
	for i, n := range s.c.NICs {
		if n.Tap != nil {
			s.w.nics[i] = s.give(n.Tap)
		} else if n.Stream != nil {
			s.w.nics[i] = s.give(n.Stream)
		}
	}
}

// run starts QEMU, greets it, and lets the guest go.
func (s *starter) run(ctx context.Context) error {
	args, err := s.c.arguments(&s.w)
	if err != nil {
		return err
	}
	cmd, err := s.c.Programs.Command(context.WithoutCancel(ctx), s.c.set(), s.c.program(), args...)
	if err != nil {
		return err
	}
	cmd.ExtraFiles, s.files = s.files, nil
	cmd.Stderr = s.vm.stderr
	if s.vm.qemu, err = launch(cmd); err != nil {
		return err
	}
	s.vm.PID, s.vm.helpers = cmd.Process.Pid, s.helpers
	s.helpers = append(s.helpers, s.vm.qemu)
	within, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if s.vm.QMP, err = qmp.Open(within, s.qmp); err != nil {
		return s.explain(err)
	}
	if err := s.vm.pin(within, s.c.Pin); err != nil {
		return err
	}
	s.vm.watch()
	if !s.c.Paused {
		return s.vm.Continue(within)
	}
	return nil
}

// explain turns a failed greeting into what is the matter.
func (s *starter) explain(err error) error {
	s.vm.qemu.kill()
	lines := s.vm.stderr.lines()
	text := strings.Join(lines, "\n")
	for _, known := range []struct{ sign, means string }{
		{"Cannot allocate memory", fmt.Sprintf("out of memory: the host refuses %s", Bytes(s.c.Memory))},
		{"Failed to get \"write\" lock", "a disk is in use by another machine"},
		{"Failed to get shared \"write\" lock", "a disk is in use by another machine"},
		{"Could not access KVM", "KVM cannot be used any more"},
	} {
		if strings.Contains(text, known.sign) {
			return fmt.Errorf("starting machine %s: %s (%s)", s.c.Name, known.means, text)
		}
	}
	if len(lines) > 0 {
		return fmt.Errorf("starting machine %s: QEMU ended at once: %s", s.c.Name, text)
	}
	return fmt.Errorf("starting machine %s: QEMU (%v): %w", s.c.Name, s.vm.qemu.err, err)
}

// pin ties the machine's processors to the host's.
func (v *VM) pin(ctx context.Context, to []int) error {
	if len(to) == 0 {
		return nil
	}
	var cpus []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	if err := v.QMP.Run(ctx, "query-cpus-fast", nil, &cpus); err != nil {
		return err
	}
	for _, cpu := range cpus {
		if cpu.Index >= len(to) {
			continue
		}
		var set unix.CPUSet
		set.Set(to[cpu.Index])
		if err := unix.SchedSetaffinity(cpu.Thread, &set); err != nil {
			return fmt.Errorf("machine %s: pinning processor %d to the host's %d: %w", v.Name, cpu.Index, to[cpu.Index], err)
		}
	}
	return nil
}
