package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// uevents is the kernel's news about devices.
type uevents struct{ fd int }

func listenUevents() (*uevents, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		return nil, fmt.Errorf("listening for devices: %w", err)
	}
	return &uevents{fd}, nil
}

func (u *uevents) close() { unix.Close(u.fd) }

// wait returns as soon as there is news, or after a while, and gives the
// modaliases of new devices.
func (u *uevents) wait(atMost time.Duration) (aliases []string) {
	fds := []unix.PollFd{{Fd: int32(u.fd), Events: unix.POLLIN}}
	unix.Poll(fds, int(atMost.Milliseconds()))
	buf := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(u.fd, buf, 0)
		if err != nil || n <= 0 { // ENOBUFS: the caller looks at everything again anyway
			return aliases
		}
		if alias := modalias(buf[:n]); alias != "" {
			aliases = append(aliases, alias)
		}
	}
}

// modalias takes it out of a message that says that a device was added: "add@
// PATH" and then KEY=VALUE, each ended by a zero byte.
func modalias(message []byte) string {
	if !bytes.HasPrefix(message, []byte("add@")) {
		return ""
	}
	for _, field := range strings.Split(string(message), "\x00") {
		if alias, ok := strings.CutPrefix(field, "MODALIAS="); ok {
			return alias
		}
	}
	return ""
}
