package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child that ends with us, whatever ends us.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is reaped
	err   error         // of Wait; valid after ended
}

// launch starts a child. The kernel's promise to kill it is tied to the thread
// that forked it, so that thread is kept until the child is reaped. Files of
// the command are closed here in any case.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a terminal's Ctrl-C is ours to handle
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the child
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.ended)
	}()
	err := <-started
	for _, f := range cmd.ExtraFiles {
		if f != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

// kill ends it and waits.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// inherit gives a file to a command and returns its number there. The command
// owns the file from now on.
func inherit(cmd *exec.Cmd, f *os.File) int {
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return 2 + len(cmd.ExtraFiles)
}

// pair makes a connection between us and a child.
func pair(name string) (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the connection %s: %w", name, err)
	}
	mine := os.NewFile(uintptr(fds[0]), name)
	theirs = os.NewFile(uintptr(fds[1]), name)
	ours, err = net.FileConn(mine)
	mine.Close()
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("making the connection %s: %w", name, err)
	}
	return ours, theirs, nil
}

// tail keeps the end of what children complain about.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// lines are the last few lines that mean something.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, line := range bytes.Split(t.buf, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if text == "" || strings.Contains(text, "warning: ") {
			continue
		}
		out = append(out, text)
	}
	if len(out) > 6 {
		out = out[len(out)-6:]
	}
	return out
}

// signalled is the signal that ended a child.
func (p *process) signalled() (syscall.Signal, bool) {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return 0, false
	}
	st, ok := exit.Sys().(syscall.WaitStatus)
	return st.Signal(), ok && st.Signaled()
}
