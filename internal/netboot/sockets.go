package netboot

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Interface finds the interface to serve on, and our address there. An empty
// name means the only one that has an address.
func Interface(name string) (netip.Prefix, string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return netip.Prefix{}, "", fmt.Errorf("listing the interfaces: %w", err)
	}
	var names []string
	var found []netip.Prefix
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || name != "" && i.Name != name {
			continue
		}
		if i.Flags&net.FlagUp == 0 && name != "" {
			return netip.Prefix{}, "", fmt.Errorf("the interface %s is switched off: ip link set %s up", name, name)
		}
		if p, ok := firstIPv4(&i); ok {
			names, found = append(names, i.Name), append(found, p)
		} else if name != "" {
			return netip.Prefix{}, "", fmt.Errorf("the interface %s has no IPv4 address: ip address add 192.0.2.1/24 dev %s", name, name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], names[0], nil
	case len(found) > 1:
		return netip.Prefix{}, "", fmt.Errorf("this computer has several networks: choose one with --interface: %s", strings.Join(names, ", "))
	case name != "":
		names = nil
		for _, i := range all {
			names = append(names, i.Name)
		}
		return netip.Prefix{}, "", fmt.Errorf("there is no interface %s; there are %s", name, strings.Join(names, ", "))
	}
	return netip.Prefix{}, "", errors.New("no interface has an IPv4 address, so there is no network to serve")
}

func firstIPv4(i *net.Interface) (netip.Prefix, bool) {
	addrs, _ := i.Addrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Listen opens the sockets of HTTP and TFTP on an address.
func Listen(own netip.Addr, httpPort int) (net.Listener, net.PacketConn, error) {
	web, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: own.AsSlice(), Port: httpPort})
	if err != nil {
		return nil, nil, explainPort(err, "tcp", httpPort)
	}
	files, err := net.ListenUDP("udp4", &net.UDPAddr{IP: own.AsSlice(), Port: 69})
	if err != nil {
		web.Close()
		return nil, nil, explainPort(err, "udp", 69)
	}
	return web, files, nil
}

// ListenTLS opens the socket of HTTPS on an address.
func ListenTLS(own netip.Addr, port int) (net.Listener, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: own.AsSlice(), Port: port})
	if err != nil {
		return nil, explainPort(err, "tcp", port)
	}
	return l, nil
}

// explainPort says who has a port, or what is missing to open it.
func explainPort(err error, network string, port int) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("port %d/%s is in use by %s: stop it, or serve another interface", port, network, Holder(network, port))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("port %d/%s is root's: run it with sudo; without root, slipway test FILE --on netboot rehearses a machine in a network of its own", port, network)
	}
	return fmt.Errorf("listening on port %d/%s: %w", port, network, err)
}

// Holder names the program that has a port open in this network, as far as this
// user may see it.
func Holder(network string, port int) string {
	inodes := socketInodes("/proc/self/net/"+network, port)
	for i := range socketInodes("/proc/self/net/"+network+"6", port) {
		inodes[i] = true
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return "another program (only root sees which)"
}

// socketInodes are the sockets that have a local port (proc(5), /proc/net/tcp).
func socketInodes(table string, port int) map[string]bool {
	inodes := map[string]bool{}
	f, err := os.Open(table)
	if err != nil {
		return inodes
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 10 {
			continue
		}
		_, hex, _ := strings.Cut(w[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			inodes[w[9]] = true
		}
	}
	return inodes
}
