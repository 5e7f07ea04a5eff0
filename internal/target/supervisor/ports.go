package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// listenerInfo describes a socket that the supervisor inherits.
type listenerInfo struct {
	Address string // host address and port, as opened
	Port    int    // of the machine
	UDP     bool
}

// String is "127.0.0.1:8080->80", with "/udp" at its end for datagrams.
func (l listenerInfo) String() string {
	text := l.Address + "->" + strconv.Itoa(l.Port)
	if l.UDP {
		text += "/udp"
	}
	return text
}

// openPorts opens the definition's ports on the host, so that the supervisor,
// which lives in the lab's network, can pass connections on.
func openPorts(spec *Spec) (files []*os.File, infos []listenerInfo, err error) {
	if !spec.Publish {
		return nil, nil, nil
	}
	for _, p := range spec.Definition.Ports {
		hosts := []string{p.Address}
		if p.Address == "" {
			hosts = []string{"127.0.0.1", "::1"}
		}
		for _, host := range hosts {
			address := net.JoinHostPort(host, strconv.Itoa(p.Host))
			f, err := listen(address, p.UDP)
			if p.Address == "" && host == "::1" && noIPv6(err) {
				continue
			}
			if err != nil {
				closeAll(files)
				return nil, nil, fmt.Errorf("opening port %s for machine %s: %w%s", address, spec.Name, err, portHint(err))
			}
			files = append(files, f)
			infos = append(infos, listenerInfo{Address: address, Port: p.Machine, UDP: p.UDP})
		}
	}
	return files, infos, nil
}

func noIPv6(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}

func portHint(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "; something else uses it: take another host port in `ports:`"
	case errors.Is(err, unix.EACCES):
		return "; ports below 1024 are root's: take a higher host port in `ports:`"
	}
	return ""
}

func listen(address string, udp bool) (*os.File, error) {
	if udp {
		a, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			return nil, err
		}
		conn, err := net.ListenUDP("udp", a)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.File()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
