package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// outputGrace is how long output is still collected when a command has ended
// but a process that it left behind holds its output open.
const outputGrace = 250 * time.Millisecond

func baseEnv() []string {
	return []string{"PATH=" + defaultPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "LANG=C.UTF-8"}
}

// runCommand runs one program and answers with its status. When the client
// resets the stream or the deadline passes, its process group is killed.
func runCommand(st *wire.Stream) wire.Reply {
	req := st.Request
	if len(req.Args) == 0 {
		return wire.Reply{Error: "no command was given"}
	}
	env := append(baseEnv(), req.Env...)
	program, err := lookPath(req.Args[0], pathOf(env))
	if err != nil {
		return wire.Reply{Error: err.Error(), Code: "not-found", Exit: 127}
	}
	io, err := openIO(st)
	if err != nil {
		return failure(err)
	}
	p, err := os.StartProcess(program, req.Args, &os.ProcAttr{Dir: workDir(req.Dir), Env: env, Files: io.child[:], Sys: io.attr})
	io.closeChild()
	if err != nil {
		io.closeOwn()
		return wire.Reply{Error: err.Error(), Code: "not-found", Exit: 126}
	}
	done := make(chan struct{})
	go watchControl(st, p.Pid, io.master)
	var late atomic.Bool
	go func() {
		var deadline <-chan time.Time
		if req.MS > 0 {
			deadline = time.After(time.Duration(req.MS) * time.Millisecond)
		}
		select {
		case <-done:
			return
		case <-st.Over():
		case <-deadline:
			late.Store(true)
		}
		unix.Kill(-p.Pid, unix.SIGHUP)
		unix.Kill(-p.Pid, unix.SIGKILL)
	}()
	copied := io.start(st)
	state, err := p.Wait()
	close(done)
	select {
	case <-copied:
	case <-time.After(outputGrace):
	}
	io.closeOwn()
	if err != nil {
		return failure(err)
	}
	return status(state, late.Load(), req.MS)
}

func status(state *os.ProcessState, late bool, ms int) wire.Reply {
	ws := state.Sys().(syscall.WaitStatus)
	if late {
		return wire.Reply{Error: "the command did not end within " + (time.Duration(ms) * time.Millisecond).String() + " and was killed", Code: "deadline"}
	}
	if ws.Signaled() {
		return wire.Reply{Exit: 128 + int(ws.Signal()), Signal: int(ws.Signal())}
	}
	return wire.Reply{Exit: ws.ExitStatus()}
}

func watchControl(st *wire.Stream, pid int, master *os.File) {
	for {
		c, ok := st.NextControl()
		if !ok {
			return
		}
		if c.Signal > 0 {
			unix.Kill(-pid, unix.Signal(c.Signal))
		}
		if master != nil && c.Rows > 0 {
			setSize(master, c.Rows, c.Cols)
		}
	}
}

// commandIO is what a command's descriptors are connected to.
type commandIO struct {
	child  [3]*os.File
	own    []*os.File
	attr   *syscall.SysProcAttr
	master *os.File                         // with a terminal
	start  func(*wire.Stream) chan struct{} // starts copying; closed at the end of output
}

func (c *commandIO) closeChild() {
	for i, f := range c.child {
		if i == 0 || f != c.child[0] {
			f.Close()
		}
	}
}

func (c *commandIO) closeOwn() {
	for _, f := range c.own {
		f.Close()
	}
}

func openIO(st *wire.Stream) (*commandIO, error) {
	if st.Request.TTY {
		return openTerminal(st.Request)
	}
	return openPipes()
}

func openTerminal(req wire.Request) (*commandIO, error) {
	master, slave, err := openPTY("/dev/pts")
	if err != nil {
		return nil, err
	}
	setSize(master, req.Rows, req.Cols)
	tty, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, err
	}
	c := &commandIO{child: [3]*os.File{tty, tty, tty}, own: []*os.File{master}, master: master}
	c.attr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	c.start = func(st *wire.Stream) chan struct{} {
		go io.Copy(master, st.Reader(wire.Input))
		copied := make(chan struct{})
		go func() {
			io.Copy(st.Writer(wire.Output), master)
			close(copied)
		}()
		return copied
	}
	return c, nil
}

func openPipes() (*commandIO, error) {
	c := &commandIO{attr: &syscall.SysProcAttr{Setsid: true}}
	var ends [3]*os.File // ours
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			c.closeOwn()
			return nil, err
		}
		c.child[i], ends[i] = w, r
		if i == 0 {
			c.child[i], ends[i] = r, w
		}
		c.own = append(c.own, ends[i])
	}
	c.start = func(st *wire.Stream) chan struct{} {
		go func() {
			io.Copy(ends[0], st.Reader(wire.Input))
			ends[0].Close()
		}()
		var wg sync.WaitGroup
		for ch := wire.Output; ch <= wire.Errors; ch++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				io.Copy(st.Writer(ch), ends[ch])
			}()
		}
		copied := make(chan struct{})
		go func() {
			wg.Wait()
			close(copied)
		}()
		return copied
	}
	return c, nil
}

func setSize(f *os.File, rows, cols int) {
	raw, err := f.SyscallConn() // Fd would make the file blocking
	if err != nil || rows <= 0 || cols <= 0 {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(cols)})
	})
}

func workDir(dir string) string {
	if dir != "" {
		return dir
	}
	if st, err := os.Stat("/root"); err == nil && st.IsDir() {
		return "/root"
	}
	return "/"
}

func pathOf(env []string) string {
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	return path
}

// lookPath finds a program as a shell would.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range strings.Split(path, ":") {
		full := dir + "/" + name
		if st, err := os.Stat(full); err == nil && st.Mode().IsRegular() && unix.Access(full, unix.X_OK) == nil {
			return full, nil
		}
	}
	return "", errors.New("the machine has no program " + name)
}

// runQuietly runs a program to its end and wants success.
func runQuietly(args []string) error {
	program, err := lookPath(args[0], defaultPath)
	if err != nil {
		return err
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	p, err := os.StartProcess(program, args, &os.ProcAttr{Dir: "/", Env: baseEnv(), Files: []*os.File{null, null, null}})
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = errors.New(strings.Join(args, " ") + ": " + state.String())
	}
	return err
}

// waitOpener tells whether a terminal's master failed only because nobody has
// its other side open at the moment, and waits a little then.
func waitOpener(err error) bool {
	if errors.Is(err, unix.EIO) {
		time.Sleep(20 * time.Millisecond)
		return true
	}
	return false
}
