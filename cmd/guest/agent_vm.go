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
		go awaitInit(session, sv.style)
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
