package tftp

import (
	"net"
	"net/netip"
)

// batch is how many packets are read at once.
const batch = 64

// conn moves packets, many with one system call where the socket allows it.
// One goroutine reads; several may write.
type conn interface {
	// read waits for at least one packet and fills in what came. Their data
	// are good until the next call.
	read(in []packet) (int, error)
	write(out []packet) error
	close() error
}

func newConn(c net.PacketConn) conn {
	if u, ok := c.(*net.UDPConn); ok {
		if b, err := newUDPConn(u); err == nil {
			return b
		}
	}
	return &plainConn{c: c, buf: make([]byte, maxRequest+1)}
}

// plainConn is any net.PacketConn: one packet at a time.
type plainConn struct {
	c   net.PacketConn
	buf []byte
}

func (p *plainConn) read(in []packet) (int, error) {
	n, from, err := p.c.ReadFrom(p.buf)
	if err != nil {
		return 0, err
	}
	in[0] = packet{data: p.buf[:n], peer: addrPort(from)}
	return 1, nil
}

func (p *plainConn) write(out []packet) error {
	for _, o := range out {
		if _, err := p.c.WriteTo(o.data, net.UDPAddrFromAddrPort(o.peer)); err != nil {
			return err
		}
	}
	return nil
}

func (p *plainConn) close() error { return p.c.Close() }

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return ap
}
