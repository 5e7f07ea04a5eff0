package main

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// server is the agent: one per machine.
type server struct {
	style    string
	deadline time.Duration
	console  *console
	ended    chan struct{}
	vm       bool // this is a machine with a kernel of its own
}

// agent serves the control stream; when it ends, the machine ends.
func agent(args []string) {
	runtime.UnlockOSThread()
	// Inits send these to everybody at the end, when the console still matters.
	// They are caught, not ignored: what is ignored would be so in commands too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	for _, fd := range []int{controlFD, consoleFD, notifyFD} {
		unix.CloseOnExec(fd)
		unix.SetNonblock(fd, true)
	}
	sv := &server{style: styleOther, deadline: 30 * time.Second, ended: make(chan struct{})}
	if len(args) >= 2 {
		sv.style = args[0]
		if n, err := strconv.Atoi(args[1]); err == nil && n > 0 {
			sv.deadline = time.Duration(n) * time.Second
		}
	}
	if len(args) == 3 && args[2] == "vm" {
		sv.vm = true
		sv.serveHost()
		return
	}
	sv.console = newConsole(os.NewFile(consoleFD, "console"))
	session := wire.Server(os.NewFile(controlFD, "control"), sv.handle)
	session.Emit(wire.Event{Kind: "agent", Text: sv.style})
	go sv.awaitInit(session, true)
	newForwarder(os.NewFile(notifyFD, "notify")).to(session)
	<-session.Done()
	sv.shutdown()
}

// shutdown ends a machine whose supervisor is gone.
func (sv *server) shutdown() {
	go sv.console.discard()
	if err := askInit(sv.style, false); err != nil {
		unix.Kill(1, unix.SIGTERM)
	}
	time.Sleep(sv.deadline)
	// Ends all processes of the pid namespace; init itself cannot be killed from inside.
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	os.Exit(1)
}

// awaitInit tells when process 1 has become the machine's init: before that it
// has no use for signals.
func (sv *server) awaitInit(session *wire.Session, first bool) {
	own, err := os.Stat("/proc/self/exe")
	for range 5000 {
		if now, e := os.Stat("/proc/1/exe"); err == nil && e == nil && !os.SameFile(own, now) {
			session.Emit(wire.Event{Kind: "init", Text: sv.style})
			if sv.vm && first {
				session.Emit(stageEvent("init"))
			}
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// forwarder passes on what systemd reports about itself, to whoever listens
// at the moment.
type forwarder struct{ session atomic.Pointer[wire.Session] }

func newForwarder(socket *os.File) *forwarder {
	f := &forwarder{}
	go f.run(socket)
	return f
}

func (f *forwarder) to(session *wire.Session) { f.session.Store(session) }

func (f *forwarder) run(socket *os.File) {
	buf := make([]byte, 8192)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			return
		}
		session := f.session.Load()
		if session == nil {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(string(buf[:n])), "\n") {
			session.Emit(wire.Event{Kind: "notify", Text: line})
		}
	}
}

func (sv *server) handle(st *wire.Stream) {
	switch st.Request.Op {
	case "ping":
		st.Finish(wire.Reply{})
	case "exec":
		st.Finish(runCommand(st))
	case "read", "write", "stat", "list", "mkdir", "symlink", "remove":
		st.Finish(fileOperation(st))
	case "dial":
		st.Finish(dial(st))
	case "console":
		if sv.console == nil {
			st.Finish(wire.Reply{Error: "the console of a virtual machine is its serial line, which its supervisor holds"})
			return
		}
		st.Finish(sv.console.attach(st))
	case "power":
		st.Finish(failure(sv.power(st.Request.Target == "reboot")))
	default:
		st.Finish(wire.Reply{Error: "the guest helper has no operation " + strconv.Quote(st.Request.Op)})
	}
}
