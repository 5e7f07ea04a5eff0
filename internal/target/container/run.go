package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"slipway/internal/guest"
	"slipway/internal/guest/wire"
	"slipway/internal/lab"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

// run is one run of the machine, from clone to the end of its init.
type run struct {
	cmd     *exec.Cmd
	control *os.File
	cgroups *cgroups
	root    *rootMount
	exited  chan struct{} // closed when init has ended
	link    *supervisor.Attachment
}

// Start makes the machine's namespaces and sends the guest helper there
// everything that it needs to become the machine.
func (b *body) Start() (_ supervisor.Run, err error) {
	r := &run{exited: make(chan struct{})}
	defer func() {
		if err != nil {
			r.Kill()
			err = errors.Join(err, r.Close())
		}
	}()
	if r.root, err = b.mountRoot(); err != nil {
		return nil, err
	}
	if r.cgroups, err = makeCgroups(b.Spec.ID(), b.Caller, b.Spec.Definition.Container.Limits); err != nil {
		return nil, err
	}
	for _, note := range r.cgroups.notes {
		b.Note(note)
	}
	if err := r.clone(b); err != nil {
		return nil, err
	}
	if err := r.cgroups.enter(r.PID(), int(b.IDs.UID)); err != nil {
		return nil, err
	}
	b.Reached("container")
	r.link, err = b.Attach(func(ctx context.Context, l *lab.Lab, m lab.Machine) (*lab.Link, error) {
		m.DHCP = b.Spec.Definition.Configures(lab.Interface)
		return l.AttachPID(ctx, r.PID(), m)
	})
	if err != nil {
		return nil, err
	}
	return r, r.configure(b)
}

// clone starts the guest helper as the first process of its namespaces. It
// waits there for its configuration.
func (r *run) clone(b *body) error {
	program, err := guest.Memfile()
	if err != nil {
		return err
	}
	defer program.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making the control stream: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	unix.SetNonblock(pair[0], true)
	r.control = os.NewFile(uintptr(pair[0]), "control")
	r.cmd = &exec.Cmd{
		Path: "/proc/self/fd/4", Args: []string{"slipway-guest", "container"}, Env: []string{},
		Stderr: os.Stderr, ExtraFiles: []*os.File{theirs, program},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS |
				unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
			UidMappings:                b.idMappings(b.IDs.UID),
			GidMappings:                b.idMappings(b.IDs.GID),
			GidMappingsEnableSetgroups: true,
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
			Setsid:                     true,
		},
	}
	if err := r.cmd.Start(); err != nil {
		r.cmd = nil
		return fmt.Errorf("making the machine's namespaces: %w", err)
	}
	go func() {
		r.cmd.Wait()
		close(r.exited)
	}()
	return nil
}

func (r *run) configure(b *body) error {
	cfg := b.Config(r.link)
	cfg.Root, cfg.CgroupMount, cfg.Mounts = r.root.path, true, r.root.mounts
	var err error
	if cfg.Devices, err = expandDevices(b.Spec.Definition.Container.Devices); err != nil {
		return err
	}
	payload, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encoding the guest's configuration: %w", err)
	}
	if err := wire.WriteFrame(r.control, wire.Frame{Kind: wire.KindConfig, Payload: payload}); err != nil {
		return fmt.Errorf("sending the guest's configuration: %w", err)
	}
	return nil
}

// Agent is the control stream.
func (r *run) Agent() io.ReadWriteCloser { return r.control }

// Console is passed on by the agent.
func (r *run) Console() io.ReadWriter { return nil }

// PID is that of the machine's init.
func (r *run) PID() int { return r.cmd.Process.Pid }

// Traces are the run's cgroups.
func (r *run) Traces() []string { return r.cgroups.dirs }

// Link is the machine's place in the lab.
func (r *run) Link() *supervisor.Attachment { return r.link }

// Exited is closed when init has ended.
func (r *run) Exited() <-chan struct{} { return r.exited }

// Memory is what the machine's processes use.
func (r *run) Memory() int64 { return r.cgroups.memory() }

// PowerOff asks systemd directly (systemd(1), SIGRTMIN+4), and then any init.
func (r *run) PowerOff() error {
	const rtMin = 34
	return errors.Join(r.cmd.Process.Signal(syscall.Signal(rtMin+4)), r.cmd.Process.Signal(syscall.SIGTERM))
}

// Kill ends init and with it all processes.
func (r *run) Kill() {
	if r.cmd != nil && r.cmd.Process != nil {
		r.cmd.Process.Kill()
		<-r.exited
	}
}

// Close removes what the run needed; its init has ended.
func (r *run) Close() error {
	var errs []error
	if r.control != nil {
		r.control.Close()
	}
	if r.link != nil {
		errs = append(errs, r.link.Close())
	}
	if r.cgroups != nil {
		errs = append(errs, r.cgroups.remove())
	}
	if r.root != nil {
		errs = append(errs, r.root.close())
	}
	return errors.Join(errs...)
}

// End turns the end of init into words. A pid namespace's init dies by
// SIGHUP after a request to reboot and by SIGINT after one to power off or
// halt (reboot(2)).
func (r *run) End() supervisor.Ending {
	p := r.cmd.ProcessState
	ws, _ := p.Sys().(syscall.WaitStatus)
	switch {
	case ws.Signaled() && ws.Signal() == syscall.SIGHUP:
		return supervisor.Ending{State: supervisor.Stopped, Reboot: true}
	case ws.Signaled() && ws.Signal() == syscall.SIGINT, ws.Exited() && ws.ExitStatus() == 0:
		return supervisor.Ending{State: supervisor.Stopped, Reason: "it powered itself off"}
	}
	return supervisor.Ending{State: supervisor.Failed, Reason: "its init ended: " + strings.TrimPrefix(p.String(), "signal: ")}
}

// idMappings maps the machine's ids into the private range. Host file systems
// cannot be shown to a user's machine under other owners, so with binds the
// caller is in it too, as an id above all of the machine's own: its root can
// then use what the caller was willing to show.
func (b *body) idMappings(start int64) []syscall.SysProcIDMap {
	list := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(start), Size: int(b.IDs.Count)}}
	if b.User && len(shown(b.Spec.Definition)) > 0 {
		list = append(list, syscall.SysProcIDMap{ContainerID: b.Caller, HostID: b.Caller, Size: 1})
	}
	return list
}
