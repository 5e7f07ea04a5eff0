package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Enter describes a program to start inside namespaces that exist already.
//
// A process may join a user namespace only while it has one thread, which no Go
// process has. The child is therefore forked by the raw system call and joins
// before it executes the program.
type Enter struct {
	User     *os.File       // user namespace, becoming 0:0 in it; nil: stay
	Net      *os.File       // network namespace; nil: stay
	NewMount bool           // and a new mount namespace
	Path     string         // program; empty: this program itself
	Args     []string       // with argv[0]
	Env      []string       // nil: none
	Files    []*os.File     // descriptors 0, 1, 2, ...: the only ones the program gets
	Setsid   bool           // leave the caller's session and terminal
	Death    syscall.Signal // sent when the starting thread ends; 0: outlive it
}

// EnterExec starts a program in the given namespaces; either may be nil.
func EnterExec(userns, netns *os.File, path string, argv, env []string, files []*os.File) (*os.Process, error) {
	return Enter{User: userns, Net: netns, Path: path, Args: argv, Env: env, Files: files}.Start()
}

// Start starts the program. The error names the step that failed.
func (e Enter) Start() (*os.Process, error) {
	c, err := e.child()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c.status = int(w.Fd())
	syscall.ForkLock.Lock()
	pid, errno := c.fork()
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(e)
	runtime.KeepAlive(c)
	w.Close()
	if errno != 0 {
		return nil, fmt.Errorf("forking: %w", errno)
	}
	if err := childError(r, e); err != nil {
		var status syscall.WaitStatus
		for {
			if _, werr := syscall.Wait4(pid, &status, 0, nil); werr != syscall.EINTR {
				return nil, err
			}
		}
	}
	return os.FindProcess(pid)
}

// childError reads the child's complaint: the number of the step and the errno.
// Nothing means that execve closed the pipe.
func childError(r io.Reader, e Enter) error {
	var msg [2]uint32
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("waiting for the start of %s: %w", e.Path, err)
	}
	steps := map[uint32]string{
		stepUser: "joining the user namespace", stepNet: "joining the network namespace",
		stepMount: "making a mount namespace", stepIDs: "becoming root of the namespace",
		stepFiles: "passing files", stepExec: "executing " + e.Path,
	}
	return fmt.Errorf("%s: %w", steps[msg[0]], syscall.Errno(msg[1]))
}

const (
	stepUser = iota + 1
	stepNet
	stepMount
	stepIDs
	stepFiles
	stepExec
)

// child is what the forked process works with: plain numbers and pointers made
// beforehand, as it must not allocate.
type child struct {
	user, net, status int
	mount, setsid     bool
	death             uintptr
	path              *byte
	argv, env         []*byte
	fds               []int
}

func (e *Enter) child() (*child, error) {
	if e.Path == "" {
		e.Path = executable
	}
	c := &child{user: -1, net: -1, mount: e.NewMount, setsid: e.Setsid, death: uintptr(e.Death)}
	var err [3]error
	c.path, err[0] = syscall.BytePtrFromString(e.Path)
	c.argv, err[1] = syscall.SlicePtrFromStrings(e.Args)
	c.env, err[2] = syscall.SlicePtrFromStrings(e.Env)
	if err := errors.Join(err[:]...); err != nil {
		return nil, fmt.Errorf("starting %s: %w", e.Path, err)
	}
	if e.User != nil {
		c.user = int(e.User.Fd())
	}
	if e.Net != nil {
		c.net = int(e.Net.Fd())
	}
	for _, f := range e.Files {
		c.fds = append(c.fds, int(f.Fd()))
	}
	return c, nil
}

// The fork protocol of the runtime, as package syscall uses it: signals are
// blocked around the fork and the child forgets the handlers.

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

// fork makes the child with a copy of the memory. Not CLONE_VM: joining a user
// namespace marks the memory undumpable, which would hit the parent too.
//
//go:noinline
//go:norace
func (c *child) fork() (int, syscall.Errno) {
	runtimeBeforeFork()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		runtimeAfterFork()
		return int(pid), errno
	}
	runtimeAfterForkInChild()
	c.run()
	return 0, 0 // not reached
}

// run is the child's life. Only raw system calls from here on: no allocation,
// no stack growth, no lock.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *child) run() {
	step, errno := c.enter()
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)),
			uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))
		step = stepExec
	}
	msg := [2]uint32{step, uint32(errno)}
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(c.status), uintptr(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
	for {
		syscall.RawSyscall(unix.SYS_EXIT, 253, 0, 0)
	}
}

//go:nosplit
//go:norace
func (c *child) enter() (uint32, syscall.Errno) {
	if c.setsid {
		syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	}
	if c.user >= 0 {
		if _, _, e := syscall.RawSyscall(unix.SYS_SETNS, uintptr(c.user), unix.CLONE_NEWUSER, 0); e != 0 {
			return stepUser, e
		}
	}
	if c.net >= 0 {
		if _, _, e := syscall.RawSyscall(unix.SYS_SETNS, uintptr(c.net), unix.CLONE_NEWNET, 0); e != 0 {
			return stepNet, e
		}
	}
	if c.mount {
		if _, _, e := syscall.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWNS, 0, 0); e != 0 {
			return stepMount, e
		}
	}
	if c.user >= 0 {
		_, _, e1 := syscall.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, e2 := syscall.RawSyscall(unix.SYS_SETRESGID, 0, 0, 0)
		_, _, e3 := syscall.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0)
		if e := e1 | e2 | e3; e != 0 {
			return stepIDs, e
		}
	}
	if c.death != 0 { // after the change of ids, which clears it
		syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, c.death, 0)
	}
	return stepFiles, c.passFiles()
}

// passFiles moves the descriptors to 0, 1, 2, ... First everything that is in
// the way goes up, then all come down.
//
//go:nosplit
//go:norace
func (c *child) passFiles() syscall.Errno {
	n := uintptr(len(c.fds))
	up, _, e := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(c.status), unix.F_DUPFD_CLOEXEC, n)
	if e != 0 {
		return e
	}
	c.status = int(up)
	for i := range c.fds {
		up, _, e := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(c.fds[i]), unix.F_DUPFD_CLOEXEC, n)
		if e != 0 {
			return e
		}
		c.fds[i] = int(up)
	}
	for i := range c.fds {
		if _, _, e := syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.fds[i]), uintptr(i), 0); e != 0 {
			return e
		}
	}
	// Whatever else is open stays here; a kernel without close_range keeps
	// Go's own close-on-exec marks.
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, n, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	return 0
}
