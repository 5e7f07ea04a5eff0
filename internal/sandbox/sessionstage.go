package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sessionMain is process 1 of a session's namespaces.
func sessionMain() int {
	runtime.LockOSThread() // as initMain does
	closeOnExecFrom(stageTask)
	buf := make([]byte, maxMessage)
	n, err := readMessage(stageTask, buf)
	if err != nil {
		return 1 // the parent is gone
	}
	s := stage{session: true}
	if err := json.Unmarshal(buf[:n], &s); err != nil {
		return 1
	}
	if err := s.runSession(stageTask, buf); err != nil {
		_ = answer(stageTask, report{Error: err.Error()}) // nobody may be there to hear it
		return 1
	}
	return 0
}

// runSession is the stage's life in a session: the namespaces are set up once,
// then each message brings a program and its three streams.
func (s *stage) runSession(stream int, buf []byte) error {
	if err := s.setUp(); err != nil {
		return err
	}
	defer s.lastPID.Close()
	unix.Umask(0o022)
	if err := restrict(s.NoSync); err != nil {
		return err
	}
	if err := s.renumber(); err != nil { // found out before a program waits for it
		return err
	}
	if err := answer(stream, report{}); err != nil {
		return err
	}
	for {
		task, files, err := receive(stream, buf)
		if err != nil || task == nil {
			return err
		}
		var rep report
		if rep.Code, rep.Signal, err = s.one(task, files); err != nil {
			rep.Error = err.Error()
		}
		if err := answer(stream, rep); err != nil {
			return err
		}
	}
}

// firstPID comes before the number of a program: beyond those of the stage's own
// threads, so that every program of a session has the same.
const firstPID = "99\n"

// one runs a program, and leaves no process of it.
func (s *stage) one(task *stage, files []uintptr) (int, syscall.Signal, error) {
	defer func() {
		for _, fd := range files {
			unix.Close(int(fd))
		}
	}()
	program, err := findProgram(task.Args[0], task.Env)
	if err != nil {
		return 0, 0, err
	}
	if err := s.renumber(); err != nil {
		return 0, 0, err
	}
	code, sig, err := task.start(program, files, &syscall.SysProcAttr{Setsid: true})
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && err != syscall.EINTR {
			break
		}
	}
	return code, sig, err
}

// renumber has the next process get the first number.
func (s *stage) renumber() error {
	if _, err := s.lastPID.WriteAt([]byte(firstPID), 0); err != nil {
		return fmt.Errorf("numbering processes anew: %w", err)
	}
	return nil
}

// openLastPID opens the file through which processes are numbered, before the
// kernel's files become read-only.
func (s *stage) openLastPID(root *os.File) error {
	if !s.session {
		return nil
	}
	var err error
	if s.lastPID, err = openIn(root, "proc/sys/kernel/ns_last_pid", unix.O_WRONLY); err != nil {
		return fmt.Errorf("numbering processes anew: %w", err)
	}
	return nil
}

func answer(stream int, rep report) error {
	data, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		data, _ = json.Marshal(report{Error: "the sandbox has an error that is too long to tell"})
	}
	return unix.Sendmsg(stream, data, nil, nil, unix.MSG_NOSIGNAL)
}

// receive reads the next program; none means that the session is over.
func receive(stream int, buf []byte) (*stage, []uintptr, error) {
	oob := make([]byte, unix.CmsgSpace(3*4))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(stream, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n == 0 {
		return nil, nil, err
	}
	var files []uintptr
	list, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		fds, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			return nil, nil, err
		}
		for _, fd := range fds {
			files = append(files, uintptr(fd))
		}
	}
	task := &stage{}
	if err := json.Unmarshal(buf[:n], task); err != nil {
		return nil, nil, err
	}
	if len(files) != 3 || len(task.Args) == 0 {
		return nil, nil, errors.New("a program without its streams")
	}
	return task, files, nil
}
