package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The environment every program starts with. Nothing of the caller's own
// environment gets in.
const (
	DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	DefaultLang = "C.UTF-8"
)

// Bind is one file or directory of the worker shown inside the program's root.
type Bind struct {
	Source   string // path as the worker sees it
	Target   string // path inside the root; made (and removed afterwards) when missing
	ReadOnly bool
}

// Command is a program to run in a tree.
type Command struct {
	Root       string        // the tree's directory
	Args       []string      // program and arguments; a bare name is looked up in the tree by PATH
	Env        []string      // added to (and overriding) PATH, LANG, HOME=/root
	Dir        string        // working directory inside the tree; empty: /
	Stdin      io.Reader     // nil: /dev/null
	Stdout     io.Writer     // nil: /dev/null
	Stderr     io.Writer     // nil: /dev/null
	Network    bool          // share the worker's network instead of an empty one
	Resolv     string        // with Network: file shown as /etc/resolv.conf
	Timeout    time.Duration // 0: none
	Binds      []Bind        // in this order, after /dev, /proc and /sys
	RunTmpfs   bool          // an empty tmpfs on /run
	Privileged bool          // keep all capabilities of the worker and set no filter
	NoSync     bool          // fsync(2) and its like do nothing: whoever keeps the tree syncs it at the end
	Hostname   string        // empty: localhost
	UID, GID   int           // run as these ids instead of 0:0
	Files      []*os.File    // inherited as descriptor 3 and up
	Terminal   bool          // interactive: Stdin is the caller's terminal; the program gets one of its own
}

// Result is how a program ended.
type Result struct {
	Code     int            // exit code; 128+N when signal N ended it, as shells say
	Signal   syscall.Signal // the signal that ended it, or 0
	TimedOut bool           // ended by Timeout
	Duration time.Duration
}

// ExitError says that the program ran and did not end with 0.
type ExitError struct {
	Args   []string
	Result Result
}

func (e *ExitError) Error() string {
	name := strings.Join(e.Args, " ")
	switch {
	case e.Result.TimedOut:
		return fmt.Sprintf("running %s: ended after its time limit of %s", name, e.Result.Duration.Round(time.Millisecond))
	case e.Result.Signal != 0:
		return fmt.Sprintf("running %s: ended by signal %d (%s)", name, int(e.Result.Signal), e.Result.Signal)
	}
	return fmt.Sprintf("running %s: exit code %d", name, e.Result.Code)
}

// stage is what the first process of the new namespaces is told.
type stage struct {
	Root, Dir, Hostname, Resolv string
	Args, Env                   []string
	Binds                       []Bind
	Network, RunTmpfs           bool
	Privileged, Terminal        bool
	NoSync                      bool
	UID, GID, Files             int

	session bool     // run what the following messages bring, see Session
	lastPID *os.File // in a session: numbers the next process
}

// report is what it answers: one line when the program has ended or could not
// be started.
type report struct {
	Error  string         `json:"error,omitempty"`
	Code   int            `json:"code"`
	Signal syscall.Signal `json:"signal,omitempty"`
}

// Run runs cmd in new pid, mount, ipc, uts, cgroup and (unless Network) network
// namespaces with cmd.Root as its root directory, and waits for it. However it
// ends, everything it started is dead when Run returns. A result other than
// exit code 0 is also an *ExitError; the context's end gives the context's
// error; any other error means that the program was not run.
//
// It must be called with the rights of a worker: root of a user namespace, or
// real root.
func Run(ctx context.Context, cmd Command) (Result, error) {
	if len(cmd.Args) == 0 {
		return Result{}, errors.New("running a program: no arguments given")
	}
	if cmd.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cmd.Timeout, errTimeLimit)
		defer cancel()
	}
	points, err := makePoints(cmd)
	defer points.remove()
	if err != nil {
		return Result{}, fmt.Errorf("preparing %s for %s: %w", cmd.Root, cmd.Args[0], err)
	}
	start := time.Now()
	rep, err := runStage(ctx, cmd)
	return finish(ctx, cmd, rep, err, time.Since(start))
}

var errTimeLimit = errors.New("time limit reached")

// finish turns the stage's answer into Run's results.
func finish(ctx context.Context, cmd Command, rep *report, err error, took time.Duration) (Result, error) {
	res := Result{Duration: took}
	switch {
	case rep != nil && rep.Error != "":
		return res, fmt.Errorf("running %s in %s: %s", cmd.Args[0], cmd.Root, rep.Error)
	case rep != nil:
		res.Code, res.Signal = rep.Code, rep.Signal
	case context.Cause(ctx) == errTimeLimit:
		res.Code, res.Signal, res.TimedOut = 128+int(unix.SIGKILL), unix.SIGKILL, true
	case ctx.Err() != nil:
		return res, fmt.Errorf("running %s: %w", cmd.Args[0], context.Cause(ctx))
	case err != nil:
		return res, fmt.Errorf("running %s in %s: %w", cmd.Args[0], cmd.Root, err)
	}
	if res.Code != 0 {
		return res, &ExitError{Args: cmd.Args, Result: res}
	}
	return res, nil
}

// runStage starts the stage process, hands it its task and waits for its end.
func runStage(ctx context.Context, cmd Command) (*report, error) {
	taskR, taskW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer taskW.Close()
	repR, repW, err := os.Pipe()
	if err != nil {
		taskR.Close()
		return nil, err
	}
	defer repR.Close()
	c := stageCommand(ctx, cmd, taskR, repW)
	errText := &tail{}
	if cmd.Stderr == nil {
		c.Stderr = errText // only the stage itself writes there: a crash of ours
	}
	waited := make(chan error, 1)
	started := make(chan error, 1)
	go func() { // one thread for the parent-death signal, see Proc.live
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			waited <- c.Wait()
		}
	}()
	err = <-started
	taskR.Close()
	repW.Close()
	if err != nil {
		return nil, fmt.Errorf("making namespaces: %w", err)
	}
	go func() {
		json.NewEncoder(taskW).Encode(newStage(cmd))
		taskW.Close()
	}()
	rep := readReport(repR)
	err = <-waited
	if rep == nil && err == nil {
		err = errors.New("the sandbox ended without a result")
	}
	if s := errText.String(); rep == nil && s != "" {
		err = fmt.Errorf("%w\n%s", err, s)
	}
	return rep, err
}

func readReport(r io.Reader) *report {
	var rep report
	if json.NewDecoder(r).Decode(&rep) != nil {
		return nil
	}
	return &rep
}

// stageCommand describes the first process of the namespaces.
func stageCommand(ctx context.Context, cmd Command, task, rep *os.File) *exec.Cmd {
	c := exec.CommandContext(ctx, executable)
	c.Args = []string{argInit}
	c.Dir = "/"
	c.Env = []string{"GOMAXPROCS=1", "GOGC=off"} // it sets up, starts and reaps: nothing to collect
	c.Stdin, c.Stdout, c.Stderr = cmd.Stdin, cmd.Stdout, cmd.Stderr
	c.ExtraFiles = append([]*os.File{task, rep}, cmd.Files...)
	c.WaitDelay = time.Second
	flags := uintptr(unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP)
	if !cmd.Network {
		flags |= unix.CLONE_NEWNET
	}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: flags,
		Pdeathsig:  unix.SIGKILL,
		// A session of its own keeps the program from the caller's terminal;
		// with Terminal the stage stays in the caller's foreground to read it.
		Setsid: !cmd.Terminal,
	}
	return c
}

func newStage(cmd Command) stage {
	s := stage{
		Root: cmd.Root, Dir: cmd.Dir, Hostname: cmd.Hostname,
		Args: cmd.Args, Env: environment(cmd.Env), Binds: cmd.Binds,
		Network: cmd.Network, RunTmpfs: cmd.RunTmpfs, Privileged: cmd.Privileged, NoSync: cmd.NoSync,
		Terminal: cmd.Terminal, UID: cmd.UID, GID: cmd.GID, Files: len(cmd.Files),
	}
	if cmd.Network {
		s.Resolv = cmd.Resolv
	}
	if s.Hostname == "" {
		s.Hostname = "localhost"
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	if abs, err := filepath.Abs(s.Root); err == nil {
		s.Root = abs // the stage starts in /
	}
	return s
}

// environment lays extra over the defaults; a later value of a name wins.
func environment(extra []string) []string {
	env := append([]string{"PATH=" + DefaultPath, "LANG=" + DefaultLang, "HOME=/root"}, emulation...)
	for _, kv := range extra {
		name, _, _ := strings.Cut(kv, "=")
		replaced := false
		for i := range env {
			if strings.HasPrefix(env[i], name+"=") {
				env[i], replaced = kv, true
			}
		}
		if !replaced {
			env = append(env, kv)
		}
	}
	return env
}
