package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Session runs programs in one tree one after the other, as Run does, and makes
// the namespaces only once: with many short programs, as scripts of packages
// are, that is most of the time. After each program everything that it started
// is dead, and process numbers begin again, so that the next finds what it
// would find in new namespaces; only what lies in the private /dev stays.
//
// Whatever a session cannot do as Run does it (a terminal, binds, a network,
// other mounts, a tree whose mount points are missing or become other ones)
// runs in namespaces of its own. The zero value is ready. It is for one
// goroutine, and must be closed before the tree is unmounted or read as a whole.
type Session struct {
	proc    *sessionProc
	early   chan *sessionProc // what Begin has begun, nil if it could not
	refused bool              // the kernel cannot number processes anew
}

// sessionTerms are what all programs of a session have in common.
type sessionTerms struct {
	root, hostname string
	noSync         bool
	points         [3]place // of /dev, /proc and /sys
}

// hold tells whether a session on these terms can run a program that wants
// others. A tree that got its /sys meanwhile does without: only scripts at the
// very beginning of a tree meet that, and they can do without any.
func (t sessionTerms) hold(now sessionTerms) bool {
	if t.points[2] == (place{}) {
		now.points[2] = place{}
	}
	return t == now
}

// sessionProc is the first process of the session's namespaces.
type sessionProc struct {
	terms  sessionTerms
	cmd    *exec.Cmd
	stream *os.File // messages to it, and its answers
	waited chan error
}

// maxMessage bounds what one message to a session holds: less than the kernel's
// smallest buffer of a socket.
const maxMessage = 64 << 10

// Begin makes the namespaces for programs like cmd while the caller does
// something else. Without it the first program waits for them.
func (s *Session) Begin(cmd Command) {
	cmd.Args = []string{"program"}
	terms, ok := s.terms(cmd)
	if !ok || s.refused || s.proc != nil || s.early != nil {
		return
	}
	early := make(chan *sessionProc, 1)
	s.early = early
	go func() {
		p, _ := startSession(terms, cmd) // Run tries again, and has the error
		early <- p
	}()
}

// settle waits for what Begin has begun.
func (s *Session) settle() {
	if s.early != nil {
		s.proc, s.early = <-s.early, nil
	}
}

// Run runs cmd in the session and waits for it; see the function Run.
func (s *Session) Run(ctx context.Context, cmd Command) (Result, error) {
	terms, ok := s.terms(cmd)
	if !ok || s.refused {
		return Run(ctx, cmd)
	}
	message, err := json.Marshal(newStage(cmd))
	if err != nil || len(message) > maxMessage {
		return Run(ctx, cmd)
	}
	s.settle()
	if s.proc != nil && !s.proc.terms.hold(terms) {
		s.Close()
	}
	if s.proc == nil {
		if s.proc, err = startSession(terms, cmd); err != nil {
			s.refused = true
			return Run(ctx, cmd) // it says what is wrong
		}
	}
	if cmd.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cmd.Timeout, errTimeLimit)
		defer cancel()
	}
	start := time.Now()
	rep, err := s.exchange(ctx, cmd, message)
	return finish(ctx, cmd, rep, err, time.Since(start))
}

// Close ends the session. A closed one begins anew with the next program.
func (s *Session) Close() {
	s.settle()
	if s.proc == nil {
		return
	}
	s.proc.stream.Close()
	<-s.proc.waited
	s.proc = nil
}

// terms tells whether a session can run cmd, and what it must be like.
func (s *Session) terms(cmd Command) (sessionTerms, bool) {
	if len(cmd.Args) == 0 || cmd.Terminal || cmd.Network || cmd.Privileged || cmd.RunTmpfs || len(cmd.Binds)+len(cmd.Files) > 0 {
		return sessionTerms{}, false
	}
	root, err := openRoot(cmd.Root)
	if err != nil {
		return sessionTerms{}, false
	}
	defer root.Close()
	t := sessionTerms{root: cmd.Root, hostname: cmd.Hostname, noSync: cmd.NoSync}
	for i, name := range []string{"dev", "proc", "sys"} {
		f, err := openIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) && name == "sys" {
			continue
		}
		if err != nil {
			return t, false
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		f.Close()
		if err != nil {
			return t, false
		}
		t.points[i] = place{st.Dev, st.Ino}
	}
	return t, true
}

// startSession makes the namespaces.
func startSession(terms sessionTerms, cmd Command) (*sessionProc, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the stream to a session: %w", err)
	}
	child := os.NewFile(uintptr(fds[1]), "session")
	defer child.Close()
	p := &sessionProc{terms: terms, stream: os.NewFile(uintptr(fds[0]), "session"), waited: make(chan error, 1)}
	task := newStage(cmd)
	task.Args, task.Env = nil, nil
	first, err := json.Marshal(task)
	if err != nil {
		p.stream.Close()
		return nil, err
	}
	// The context of one program is not the session's.
	p.cmd = stageCommand(context.Background(), Command{}, child, child)
	p.cmd.Args = []string{argSession}
	started := make(chan error, 1)
	go func() { // one thread for the parent-death signal, see Proc.live
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.waited <- p.cmd.Wait()
			close(p.waited)
		}
	}()
	if err := <-started; err != nil {
		p.stream.Close()
		return nil, fmt.Errorf("making namespaces: %w", err)
	}
	child.Close()
	err = unix.Sendmsg(fds[0], first, nil, nil, 0)
	var rep report
	if err == nil {
		rep, err = p.answer()
	}
	if err == nil && rep.Error != "" {
		err = errors.New(rep.Error)
	}
	if err != nil {
		p.stream.Close()
		<-p.waited
		return nil, err
	}
	return p, nil
}

// answer waits for a message of the session. The end of the stream is io.EOF.
func (p *sessionProc) answer() (report, error) {
	var rep report
	buf := make([]byte, maxMessage)
	n, err := readMessage(int(p.stream.Fd()), buf)
	if err != nil {
		return rep, err
	}
	return rep, json.Unmarshal(buf[:n], &rep)
}

func readMessage(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			return 0, io.EOF
		}
		return n, err
	}
}

// exchange has the session run one program, with the streams of cmd. Without
// an answer the session is over.
func (s *Session) exchange(ctx context.Context, cmd Command, message []byte) (*report, error) {
	streams, err := openStreams(cmd)
	defer streams.close()
	if err != nil {
		return nil, err
	}
	p := s.proc
	if err := unix.Sendmsg(int(p.stream.Fd()), message, unix.UnixRights(streams.fds()...), nil, 0); err != nil {
		s.kill()
		return nil, fmt.Errorf("sending the program to its session: %w", err)
	}
	streams.sent()
	type result struct {
		rep report
		err error
	}
	answered := make(chan result, 1)
	go func() {
		rep, err := p.answer()
		answered <- result{rep, err}
	}()
	select {
	case got := <-answered:
		streams.wait()
		if got.err != nil {
			s.kill()
			return nil, errors.New("the sandbox ended without a result")
		}
		return &got.rep, nil
	case <-ctx.Done():
		s.kill()
		<-answered
		streams.wait()
		return nil, context.Cause(ctx)
	}
}

// kill ends the session and everything in it at once.
func (s *Session) kill() {
	_ = s.proc.cmd.Process.Kill() // it may have ended by itself
	<-s.proc.waited
	s.proc.stream.Close()
	s.proc = nil
}
