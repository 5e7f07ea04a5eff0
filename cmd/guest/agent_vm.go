package main

import (
	"os"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// serveHost answers the host over the port of a virtual machine, one session
// after another. Unlike a container, the machine outlives its host's interest:
// whoever runs the hypervisor ends it.
func (sv *server) serveHost() {
	notify := newForwarder(os.NewFile(notifyFD, "notify"))
	for first := true; ; first = false {
		awaitHost()
		session := wire.Server(os.NewFile(dupPort(), "port"), sv.handle)
		session.Emit(wire.Event{Kind: "agent", Text: sv.style})
		if first {
			session.Emit(stageEvent("agent"))
		}
		go sv.awaitInit(session, first)
		notify.to(session)
		<-session.Done()
	}
}

// dupPort gives a descriptor of the port that may be closed: the port's own is
// the only way to it.
func dupPort() uintptr {
	fd, err := unix.FcntlInt(controlFD, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		os.Exit(1)
	}
	return uintptr(fd)
}

// awaitHost waits until the host's end of the port is connected.
func awaitHost() {
	for {
		fds := []unix.PollFd{{Fd: controlFD, Events: unix.POLLOUT}}
		if n, err := unix.Poll(fds, 1000); err == nil && n > 0 && fds[0].Revents&unix.POLLHUP == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// power asks init to end the machine, and ends it when an init that knows of
// no such wish (a single static program) goes on.
func (sv *server) power(reboot bool) error {
	err := askInit(sv.style, reboot)
	if !sv.vm || sv.style != styleOther {
		return err
	}
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if reboot {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	time.AfterFunc(min(sv.deadline, otherGrace), func() {
		unix.Sync()
		unix.Reboot(how)
	})
	return nil
}

// otherGrace is how long such an init has after its SIGTERM.
const otherGrace = 3 * time.Second
