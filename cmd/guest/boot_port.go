package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// Times for the host. A machine that has the port, and nobody at its other end
// or somebody who says nothing, boots on its own.
const (
	connectTimeout = 2 * time.Second  // to be there
	portTimeout    = 10 * time.Second // to say how the machine is to run
)

// port is the virtio-serial port to the host. Its device can be open only
// once, so the agent inherits the descriptor.
type port struct {
	fd     int
	config chan *wire.Config
	err    error // why there is no config
}

// findPort opens the host's port, if the machine has one, and starts to listen
// for the configuration.
func (b *booter) findPort() error {
	path := b.waitPort()
	if path == "" {
		return nil
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("opening the port to the host: %w", err)
	}
	b.port = &port{fd: fd, config: make(chan *wire.Config, 1)}
	if !b.port.wait(unix.POLLOUT, time.Now().Add(connectTimeout)) {
		say("nobody listens at the host's end of %s", wire.PortName)
		unix.Close(fd)
		b.port = nil
		return nil
	}
	b.flush() // the host sends its configuration when it hears of us
	go b.port.listen()
	return nil
}

// waitPort looks for the port's device. Ports of a console device get their
// names a moment after its driver was loaded.
func (b *booter) waitPort() string {
	if !hasVirtio("0x0003") {
		return ""
	}
	var others time.Time // when other ports than ours were first seen
	for start := time.Now(); time.Since(start) < 2*time.Second; b.follow(2 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range names {
			if data, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == wire.PortName {
				return "/dev/" + filepath.Base(filepath.Dir(file))
			}
		}
		if len(names) > 0 && others.IsZero() {
			others = time.Now()
		}
		if !others.IsZero() && time.Since(others) > 200*time.Millisecond {
			return ""
		}
	}
	return ""
}

func hasVirtio(id string) bool {
	files, _ := filepath.Glob("/sys/bus/virtio/devices/*/device")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == id {
			return true
		}
	}
	return false
}

// wait waits until the port can be read or written. While the host's end is
// not connected it can be neither.
func (p *port) wait(events int16, until time.Time) bool {
	for time.Now().Before(until) {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: events}}
		n, err := unix.Poll(fds, 100)
		if err == nil && n > 0 && fds[0].Revents&unix.POLLHUP == 0 && fds[0].Revents&events != 0 {
			return true
		}
		if fds[0].Revents&unix.POLLHUP != 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return false
}

// Read reads what is there; it fails when nothing comes in time.
func (p *port) Read(buf []byte) (int, error) {
	until := time.Now().Add(portTimeout)
	for {
		if !p.wait(unix.POLLIN, until) {
			return 0, errSilent
		}
		n, err := unix.Read(p.fd, buf)
		switch {
		case n > 0:
			return n, nil
		case err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		default:
			return 0, err
		}
	}
}

// Write writes all, or fails when the host does not take it in time.
func (p *port) Write(buf []byte) (int, error) {
	until := time.Now().Add(portTimeout)
	done := 0
	for done < len(buf) {
		n, err := unix.Write(p.fd, buf[done:])
		if n > 0 {
			done += n
			continue
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return done, err
		}
		if !p.wait(unix.POLLOUT, until) {
			return done, io.ErrShortWrite
		}
	}
	return done, nil
}

var errSilent = errors.New("nothing came from the host within " + portTimeout.String())

func (p *port) listen() {
	cfg, err := readConfig(p)
	p.err = err
	p.config <- cfg
}

func (p *port) emit(e wire.Event) {
	if payload, err := json.Marshal(e); err == nil {
		wire.WriteFrame(p, wire.Frame{Kind: wire.KindEvent, Payload: payload})
	}
}

// hear waits for what the host has to say.
func (b *booter) hear() error {
	if b.port == nil {
		return nil
	}
	cfg := <-b.port.config
	if errors.Is(b.port.err, errSilent) {
		b.warn("%v: the machine starts as its image says", errSilent)
		return nil
	}
	if cfg == nil {
		return b.port.err
	}
	b.host = cfg
	return nil
}
