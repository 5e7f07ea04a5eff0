package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// dial connects to a socket inside the machine and copies both ways until the
// machine's side ends or the client resets the stream.
func dial(st *wire.Stream) wire.Reply {
	fd, err := connect(st.Request.Network, st.Request.Address)
	if err != nil {
		return failure(err)
	}
	unix.SetNonblock(fd, true)
	conn := os.NewFile(uintptr(fd), "connection")
	defer conn.Close()
	go func() {
		io.Copy(conn, st.Reader(wire.Input))
		unix.Shutdown(fd, unix.SHUT_WR)
	}()
	go func() {
		<-st.Over()
		unix.Shutdown(fd, unix.SHUT_RDWR)
	}()
	_, err = io.Copy(st.Writer(wire.Output), conn)
	return failure(err)
}

func connect(network, address string) (int, error) {
	family, to, err := socketAddress(network, address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// A connection that the kernel holds up must not hold a thread for ever.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 10})
	for {
		err = unix.Connect(fd, to)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return fd, nil
}

func socketAddress(network, address string) (int, unix.Sockaddr, error) {
	switch network {
	case "unix":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: address}, nil
	case "tcp":
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return 0, nil, err
		}
		if ap.Addr().Is4() {
			return unix.AF_INET, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
		}
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}, nil
	}
	return 0, nil, fmt.Errorf("network %q is unknown inside a machine; use tcp or unix", network)
}
