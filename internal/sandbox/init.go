package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The descriptors of the stage process.
const (
	stageTask      = 3
	stageReport    = 4
	stageFirstFile = 5
)

// initMain is process 1 of a program's namespaces: it sets them up, starts the
// program, reaps whatever is left to it and reports. Its end takes everything
// else in the namespace with it.
func initMain() int {
	// Capabilities, the bounding set and the filter belong to a thread; the
	// program is forked from this one and inherits them.
	runtime.LockOSThread()
	closeOnExecFrom(stageTask)
	var s stage
	if json.NewDecoder(os.NewFile(stageTask, "task")).Decode(&s) != nil {
		return 1 // the parent is gone
	}
	out := json.NewEncoder(os.NewFile(stageReport, "report"))
	code, sig, err := s.run()
	if err != nil {
		out.Encode(report{Error: err.Error()})
		return 1
	}
	out.Encode(report{Code: code, Signal: sig})
	return 0
}

func (s *stage) run() (code int, sig syscall.Signal, err error) {
	if err := s.setUp(); err != nil {
		return 0, 0, err
	}
	unix.Umask(0o022)
	program, err := findProgram(s.Args[0], s.Env)
	if err != nil {
		return 0, 0, err
	}
	if !s.Privileged {
		if err := restrict(s.NoSync); err != nil {
			return 0, 0, err
		}
	}
	if s.Terminal {
		return s.runTerminal(program)
	}
	files := []uintptr{0, 1, 2}
	for i := range s.Files {
		files = append(files, uintptr(stageFirstFile+i))
	}
	return s.start(program, files, &syscall.SysProcAttr{Setsid: true})
}

// start forks the program and reaps until it ends.
func (s *stage) start(program string, files []uintptr, attr *syscall.SysProcAttr) (int, syscall.Signal, error) {
	if s.UID != 0 || s.GID != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID)}
	}
	pid, err := syscall.ForkExec(program, s.Args, &syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Files: files, Sys: attr})
	if err != nil {
		return 0, 0, fmt.Errorf("starting %s: %w%s", program, err, whyNot(program, s.Dir, err))
	}
	code, sig := reap(pid)
	// This process's end would do it too, but a terminal has to be drained
	// before, and what is left must not keep it open.
	syscall.Kill(-1, syscall.SIGKILL)
	return code, sig, nil
}

// reap collects children, adopted ones too, until pid has ended.
func reap(pid int) (int, syscall.Signal) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR || (err == nil && got != pid):
			continue
		case err != nil:
			return 127, 0
		case status.Signaled():
			return 128 + int(status.Signal()), status.Signal()
		}
		return status.ExitStatus(), 0
	}
}

// findProgram looks a bare name up in the PATH the program will have.
func findProgram(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	list := DefaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = v
		}
	}
	for _, dir := range strings.Split(list, ":") {
		p := path.Join("/", dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("finding %s: not in %s of the tree", name, list)
}

const missingLoader = " (its interpreter or loader is missing in the tree)"

// whyNot explains the two puzzling errors of execve.
func whyNot(program, dir string, err error) string {
	if _, e := os.Stat(dir); e != nil {
		return fmt.Sprintf(" (the working directory %s does not exist)", dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(program); e == nil {
			return missingLoader
		}
	}
	if errors.Is(err, unix.ENOEXEC) {
		return " (it is for another architecture, or a script without a #! line)"
	}
	return ""
}
