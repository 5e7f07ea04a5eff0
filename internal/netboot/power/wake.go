package power

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Wake sends a Wake-on-LAN packet ("Magic Packet Technology", AMD 20213) to
// UDP port 9, the discard service, of the broadcast addresses of the host's
// networks.
type Wake struct {
	// To are where packets go; none: the broadcast address of every network
	// that this host has an address in.
	To []netip.AddrPort
	// Password is what some network cards ask for (SecureOn): 4 or 6 bytes, or none.
	Password []byte
	Times    int           // packets, since nobody acknowledges one; 3
	Between  time.Duration // 100 ms
}

// Packet is the magic packet of a hardware address: six times 0xFF, the address
// sixteen times, and the password.
func Packet(mac net.HardwareAddr, password []byte) ([]byte, error) {
	if len(mac) != 6 {
		return nil, fmt.Errorf("waking %s: a hardware address of %d bytes cannot be woken, it must have 6", mac, len(mac))
	}
	if n := len(password); n != 0 && n != 4 && n != 6 {
		return nil, fmt.Errorf("waking %s: the password has %d bytes, it must have 4 or 6", mac, n)
	}
	b := bytes.Repeat([]byte{0xff}, 6)
	b = append(b, bytes.Repeat(mac, 16)...)
	return append(b, password...), nil
}

// On sends the packets.
func (w *Wake) On(ctx context.Context, machine string, mac net.HardwareAddr) error {
	b, err := Packet(mac, w.Password)
	if err != nil {
		return err
	}
	to := w.To
	if len(to) == 0 {
		if to, err = broadcasts(); err != nil {
			return fmt.Errorf("waking %s: %w", machine, err)
		}
	}
	l := net.ListenConfig{Control: mayBroadcast}
	c, err := l.ListenPacket(ctx, "udp4", ":0")
	if err != nil {
		return fmt.Errorf("waking %s: %w", machine, err)
	}
	defer c.Close()
	var failed []error
	sent := 0
	for i := range cmp.Or(w.Times, 3) {
		if i > 0 {
			if err := pause(ctx, cmp.Or(w.Between, 100*time.Millisecond)); err != nil {
				return err
			}
		}
		for _, a := range to {
			if _, err := c.WriteTo(b, net.UDPAddrFromAddrPort(a)); err != nil {
				failed = append(failed, err)
			} else {
				sent++
			}
		}
	}
	if sent == 0 {
		return fmt.Errorf("waking %s: %w", machine, errors.Join(failed...))
	}
	return nil
}

func mayBroadcast(_, _ string, c syscall.RawConn) (err error) {
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1) }); e != nil {
		return e
	}
	return err
}

// broadcasts are the broadcast addresses of the networks of this host.
func broadcasts() (to []netip.AddrPort, err error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 || l.Flags&net.FlagBroadcast == 0 {
			continue
		}
		addrs, err := l.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
				to = append(to, netip.AddrPortFrom(broadcastOf(n), 9))
			}
		}
	}
	if len(to) == 0 {
		return nil, errors.New("this host has no network with a broadcast address that is up")
	}
	return to, nil
}

func broadcastOf(n *net.IPNet) netip.Addr {
	ip, mask := n.IP.To4(), n.Mask
	if len(mask) == 16 {
		mask = mask[12:]
	}
	var b [4]byte
	for i := range b {
		b[i] = ip[i] | ^mask[i]
	}
	return netip.AddrFrom4(b)
}
