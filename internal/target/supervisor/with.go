package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"slipway/internal/lab"
	"slipway/internal/sandbox"

	"golang.org/x/sys/unix"
)

const withEntry = "slipway:with"

func init() { sandbox.RegisterEntry(withEntry, withMain) }

// withOrders is passed in the environment, as all descriptors are the command's.
type withOrders struct {
	Program string
	Args    []string
	Dir     string
	ID      int // to become, in the lab's user namespace; -1: stay
	UID     int // who that is on the host
	GID     int
	Resolv  string // files to show instead of the host's
	Hosts   string
}

const withEnv = "SLIPWAY_WITH"

// With runs a host command in the machine's network, where the names of the
// lab resolve, and returns its exit status. A file that is nil is
// /dev/null. Environment and user are the caller's; it does not reach the host's network.
func (m *Machine) With(ctx context.Context, args []string, files [3]*os.File) (int, error) {
	program, err := exec.LookPath(args[0])
	if err != nil {
		return 0, fmt.Errorf("running %s: %w", args[0], err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return 0, err
	}
	host, err := sandbox.Detect()
	if err != nil {
		return 0, err
	}
	runtime := m.rec.Spec.Runtime
	l, err := lab.JoinAt(ctx, host, m.rec.Spec.labDir())
	if err != nil {
		return 0, err
	}
	defer l.Leave()
	dir, err := os.MkdirTemp(runtime, "with-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	o := withOrders{Program: program, Args: args, ID: -1, Resolv: filepath.Join(dir, "resolv.conf"), Hosts: filepath.Join(dir, "hosts")}
	if !host.Root {
		o.ID, o.UID, o.GID = sandbox.SelfID, os.Getuid(), os.Getgid()
	}
	if o.Dir, err = os.Getwd(); err != nil {
		return 0, err
	}
	if err := writeNames(o, l); err != nil {
		return 0, err
	}
	data, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	for i := range files {
		if files[i] == nil {
			files[i] = null
		}
	}
	cmd := l.Command(withEntry)
	cmd.Env, cmd.Files = append(os.Environ(), withEnv+"="+string(data)), files[:]
	cmd.NewMount, cmd.Setsid = true, false
	p, err := cmd.Start()
	if err != nil {
		return 0, err
	}
	// The terminal sends its signals to the command as well, which decides. It
	// would inherit their being ignored if this came first.
	signal.Ignore(unix.SIGINT, unix.SIGQUIT)
	defer signal.Reset(unix.SIGINT, unix.SIGQUIT)
	stop := context.AfterFunc(ctx, func() { p.Signal(syscall.SIGTERM) })
	defer stop()
	state, err := p.Wait()
	if err != nil {
		return 0, err
	}
	if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// writeNames prepares what resolvers read.
func writeNames(o withOrders, l *lab.Lab) error {
	resolv := "nameserver " + l.Subnets.Gateway4().String() + "\n"
	if err := os.WriteFile(o.Resolv, []byte(resolv), 0o644); err != nil {
		return err
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text := strings.TrimRight(string(hosts), "\n") + "\n"
	for _, m := range l.Machines() {
		names := strings.Join(append([]string{m.Name}, m.Aliases...), " ")
		text += m.IPv4.String() + " " + names + "\n"
		if m.IPv6.IsValid() {
			text += m.IPv6.String() + " " + names + "\n"
		}
	}
	return os.WriteFile(o.Hosts, []byte(text), 0o644)
}

// withMain is the command's process, inside the lab, before it is the command.
func withMain() int {
	err := becomeCommand()
	fmt.Fprintln(os.Stderr, "slipway with:", err)
	return 125
}

func becomeCommand() error {
	var o withOrders
	if err := json.Unmarshal([]byte(os.Getenv(withEnv)), &o); err != nil {
		return err
	}
	if err := privateMounts(); err != nil {
		return err
	}
	for target, source := range map[string]string{"/etc/resolv.conf": o.Resolv, "/etc/hosts": o.Hosts} {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("showing the lab's names: %w", err)
		}
	}
	if err := os.Chdir(o.Dir); err != nil {
		return err
	}
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SLIPWAY_LAB") && !strings.HasPrefix(kv, withEnv+"=") {
			env = append(env, kv)
		}
	}
	if n := os.Getenv("SLIPWAY_LAB_HOSTNET"); n != "" { // the way back to the host's network stays here
		unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	}
	if o.ID >= 0 {
		return becomeCaller(o, env)
	}
	return fmt.Errorf("starting %s: %w", o.Program, syscall.Exec(o.Program, o.Args, env))
}

// becomeCaller runs the command under the caller's own ids, which have other
// numbers in a user's lab, in a user namespace between. It returns only when
// the command could not be started.
func becomeCaller(o withOrders, env []string) error {
	cmd := &exec.Cmd{
		Path: o.Program, Args: o.Args, Env: env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: o.UID, HostID: o.ID, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: o.GID, HostID: o.ID, Size: 1}},
			Credential:  &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID), NoSetGroups: true},
			Pdeathsig:   unix.SIGKILL,
		},
	}
	runtime.LockOSThread() // Pdeathsig follows the thread
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", o.Program, err)
	}
	signal.Ignore(unix.SIGINT, unix.SIGQUIT) // not before: the command would inherit it
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	cmd.Wait()
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		os.Exit(128 + int(ws.Signal()))
	}
	os.Exit(ws.ExitStatus())
	return nil
}
