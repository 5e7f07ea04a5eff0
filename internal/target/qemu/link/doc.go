// Package link connects a machine's network card with a bridge.
//
// A tap device is the way where /dev/net/tun is: its descriptor goes to QEMU,
// and the kernel does the rest. Where it is not, a veth pair takes its place,
// and a pump moves frames between a packet socket on it and a stream socket
// that QEMU reads (-netdev stream: each frame after its length, 4 bytes, most
// significant first).
//
// Everything happens in the network namespace of the calling thread, which
// needs CAP_NET_ADMIN there, and for the pump CAP_NET_RAW. The package makes
// no bridges and gives no addresses.
package link

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Cable is one connection. Exactly one of Tap and Stream goes to QEMU.
type Cable struct {
	Tap    *os.File
	Stream *os.File
	pump   *Pump
	port   string
}

// Open connects a new port called name (at most 15 bytes) with a bridge. What
// had this name before, left by a machine that was killed, is replaced. The
// caller gives Tap or Stream to QEMU, or closes it, and closes the Cable when
// the machine has ended.
func Open(bridge, name string) (*Cable, error) {
	tap, err := OpenTap(bridge, name)
	if err == nil {
		return &Cable{Tap: tap, port: name}, nil
	}
	if !errors.Is(err, errNoTun) {
		return nil, err
	}
	stream, pump, pumpErr := OpenPump(bridge, name)
	if pumpErr != nil {
		return nil, fmt.Errorf("%w; and without it: %w", err, pumpErr)
	}
	return &Cable{Stream: stream, pump: pump, port: name}, nil
}

// Close takes the port away. Tap and Stream are the caller's.
func (c *Cable) Close() error {
	if c.pump != nil {
		return c.pump.Close()
	}
	return nil // a tap goes with its last descriptor
}

// attach puts a port into the bridge and switches it on.
func attach(bridge, name string) (netlink.Link, error) {
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return nil, fmt.Errorf("finding the bridge %s: %w", bridge, err)
	}
	port, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMaster(port, master)
	}
	if err == nil {
		err = netlink.LinkSetMTU(port, master.Attrs().MTU)
		quiet(port)
	}
	if err == nil {
		err = netlink.LinkSetUp(port)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting %s with the bridge %s: %w", name, bridge, err)
	}
	return port, nil
}

// quiet keeps the kernel from giving an interface an address of its own, under
// which it would speak on the guest's cable. A kernel without IPv6 refuses.
func quiet(l netlink.Link) { netlink.LinkSetIP6AddrGenMode(l, nl.IN6_ADDR_GEN_MODE_NONE) }

// remove takes away what was left under a name.
func remove(name string) {
	if old, err := netlink.LinkByName(name); err == nil {
		netlink.LinkDel(old)
	}
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > unix.IFNAMSIZ-1 {
		return fmt.Errorf("%q is no name of an interface: it has 1 to %d bytes", name, unix.IFNAMSIZ-1)
	}
	return nil
}

// netInterface is by name in the calling thread's namespace.
func netInterface(name string) (*net.Interface, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", name, err)
	}
	return &net.Interface{Index: l.Attrs().Index, Name: name, MTU: l.Attrs().MTU}, nil
}
