package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// StartOptions are the less common wishes for a worker.
type StartOptions struct {
	Files      []*os.File // inherited, in this order, as Worker.Files
	Stderr     io.Writer  // gets the worker's stdout and stderr as well; nil: kept for the error only
	Foreground bool       // stay in the caller's process group and keep its stdin, for a terminal
	Net        bool       // give the worker a new network namespace too
	HostUser   bool       // root only: no user namespace, real ids (the lab's network needs them)
}

// Start starts the registered worker name with args (JSON-encodable) as root
// of a new user and mount namespace. When ctx ends the worker gets SIGTERM and,
// five seconds later, SIGKILL; it is killed also when the caller's process dies.
func (h *Host) Start(ctx context.Context, name string, args any) (*Proc, error) {
	return h.StartWith(ctx, name, args, StartOptions{})
}

// StartWith is Start with options.
func (h *Host) StartWith(ctx context.Context, name string, args any, opt StartOptions) (*Proc, error) {
	if h.problem != nil {
		return nil, h.problem
	}
	if _, err := lookup(name); err != nil {
		return nil, err
	}
	data, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("encoding the arguments of worker %s: %w", name, err)
	}
	parent, child, err := socketPair()
	if err != nil {
		return nil, err
	}
	p := &Proc{name: name, stream: parent, stderr: &tail{}, events: newQueue(), done: make(chan struct{})}
	p.cmd = h.command(ctx, p, child, opt)
	first := boot{Name: name, Args: data, SetIDs: !h.Root}
	for _, f := range opt.Files {
		first.Files = append(first.Files, f.Name())
	}
	started := make(chan error, 1)
	go p.live(ctx, started)
	err = <-started
	// From here on only the worker holds its end: the stream ends with it,
	// also when it dies before its ids are mapped.
	child.Close()
	if err != nil {
		return nil, fmt.Errorf("starting worker %s: %w", name, err)
	}
	if err := h.mapIDs(p.PID()); err != nil {
		p.Kill()
		<-p.done
		if ctx.Err() != nil {
			return nil, fmt.Errorf("worker %s: %w", name, context.Cause(ctx))
		}
		return nil, err
	}
	if err := p.Send(first); err != nil {
		p.Kill()
		return nil, p.Wait()
	}
	return p, nil
}

// live starts the process and stays with it on one thread: the kernel sends the
// parent-death signal when the starting thread ends, not the process.
func (p *Proc) live(ctx context.Context, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer p.events.close()
	defer p.stream.Close()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	// The worker's end was inherited; ours is closed by StartWith, so the
	// stream ends with the worker.
	frames := make(chan *frame, 1)
	go func() { frames <- p.read() }()
	err = p.cmd.Wait()
	p.err = p.outcome(ctx, <-frames, err)
}

// command describes the worker process.
func (h *Host) command(ctx context.Context, p *Proc, stream *os.File, opt StartOptions) *exec.Cmd {
	cmd := exec.CommandContext(ctx, executable)
	cmd.Args = []string{argWorker}
	cmd.Dir = "/"
	cmd.Env = workerEnv()
	cmd.ExtraFiles = append([]*os.File{stream}, opt.Files...)
	cmd.Stderr = p.stderr
	if opt.Stderr != nil {
		cmd.Stderr = io.MultiWriter(p.stderr, opt.Stderr)
	}
	cmd.Stdout = cmd.Stderr
	if opt.Foreground {
		cmd.Stdin = os.Stdin
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.SysProcAttr = h.attributes(opt)
	return cmd
}

// attributes are the namespaces and ids of the worker.
func (h *Host) attributes(opt StartOptions) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Setpgid:    !opt.Foreground,
		Pdeathsig:  unix.SIGKILL,
		Cloneflags: unix.CLONE_NEWNS,
	}
	if opt.Net {
		attr.Cloneflags |= unix.CLONE_NEWNET
	}
	if opt.HostUser && h.Root {
		return attr
	}
	attr.Cloneflags |= unix.CLONE_NEWUSER
	if !h.Root {
		// The new namespace has no ids yet, so exec would drop every
		// capability; ambient ones survive until newuidmap has run.
		for c := uintptr(0); c <= h.lastCap; c++ {
			attr.AmbientCaps = append(attr.AmbientCaps, c)
		}
		return attr
	}
	attr.UidMappings = []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: int(h.UIDs.Start), Size: idCount},
		{ContainerID: SelfID, HostID: h.UID, Size: 1},
	}
	attr.GidMappings = []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: int(h.GIDs.Start), Size: idCount},
		{ContainerID: SelfID, HostID: h.GID, Size: 1},
	}
	attr.GidMappingsEnableSetgroups = true
	attr.Credential = &syscall.Credential{Uid: 0, Gid: 0}
	return attr
}

// mapIDs has the set-user-id helpers write the maps of a user's worker.
func (h *Host) mapIDs(pid int) error {
	if h.Root {
		return nil
	}
	if err := runMapper(h.NewUIDMap, pid, h.UIDs, h.UID); err != nil {
		return err
	}
	return runMapper(h.NewGIDMap, pid, h.GIDs, h.GID)
}

func runMapper(program string, pid int, r Range, self int) error {
	out, err := exec.Command(program, strconv.Itoa(pid),
		"0", strconv.FormatInt(r.Start, 10), strconv.Itoa(idCount),
		strconv.Itoa(SelfID), strconv.Itoa(self), "1").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mapping ids with %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// workerEnv is the caller's environment: a worker is slipway itself and may
// need proxies, TMPDIR or GODEBUG. Programs in a tree get none of it (see Run).
func workerEnv() []string { return os.Environ() }

// socketPair makes the stream. The parent's end is non-blocking, so that
// closing it ends a pending read.
func socketPair() (parent, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the stream to a worker: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("making the stream to a worker: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "parent"), nil
}
