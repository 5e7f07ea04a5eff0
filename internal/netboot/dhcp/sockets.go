package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// sockets are those of one interface: two UDP ports, and, where the process
// may have them, sockets for frames.
type sockets struct {
	link  *link
	index int // of the interface
	hw    net.HardwareAddr
	dhcp  *port
	pxe   *port // nil: no boot server

	frames *os.File // sends to hardware addresses
	arp    *os.File // asks and hears who uses addresses
	ears   *os.File // hears other servers
	ping   net.PacketConn
}

// receiveBuffer holds a burst of a thousand clients while the server works.
const receiveBuffer = 4 << 20

// openSockets makes all sockets. One per interface, bound to it: the answer
// leaves where the question came in, and another server on another interface
// is not in the way.
func openSockets(l *link, index int, hw net.HardwareAddr, addr netip.Addr) (*sockets, error) {
	s := &sockets{link: l, index: index, hw: hw}
	dhcp, err := listen(l.cfg.Name, serverPort)
	if err != nil {
		return nil, err
	}
	s.dhcp = newPort(dhcp, serverPort)
	s.dhcp.source(addr, index)
	pxe, err := listen(l.cfg.Name, bootPort)
	if err != nil {
		s.close()
		return nil, err
	}
	s.pxe = newPort(pxe, bootPort)
	s.pxe.source(addr, index)
	if err := s.openFrames(index); err != nil {
		l.say(fmt.Sprintf("no frames can be sent on %s (%v): clients that want unicast are answered by broadcast, and addresses are offered unchecked; run as root or with CAP_NET_RAW", l.cfg.Name, err), "")
	}
	return s, nil
}

func (s *sockets) close() {
	for _, p := range []*port{s.dhcp, s.pxe} {
		if p != nil {
			p.conn.Close()
		}
	}
	for _, f := range []*os.File{s.frames, s.arp, s.ears} {
		if f != nil {
			f.Close()
		}
	}
	if s.ping != nil {
		s.ping.Close()
	}
}

// readers returns the loops that read until the sockets are closed.
func (s *sockets) readers() []func() error {
	var out []func() error
	for _, p := range []*port{s.dhcp, s.pxe} {
		if p != nil {
			out = append(out, func() error { return p.read(s.link) })
		}
	}
	if s.arp != nil {
		out = append(out, s.hearARP)
	}
	if s.ears != nil {
		out = append(out, s.hearServers)
	}
	if s.ping != nil {
		out = append(out, s.hearEchoes)
	}
	return out
}

// listen opens a UDP port on one interface only.
func listen(name string, number int) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
			}
		}); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", ":"+strconv.Itoa(number))
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("port %d is in use by %s: stop it, or serve another interface", number, holder(number))
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("port %d needs root or CAP_NET_BIND_SERVICE and CAP_NET_RAW: %w", number, err)
	case err != nil:
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// port is one UDP port.
type port struct {
	number int
	conn   net.PacketConn
	batch  *ipv4.PacketConn // nil: not a kernel's socket
	oob    []byte           // source address of what is sent
}

// batchSize is how many packets are read or sent by one system call.
const batchSize = 64

func newPort(c net.PacketConn, number int) *port {
	if c == nil {
		return nil
	}
	p := &port{number: number, conn: c}
	if u, ok := c.(*net.UDPConn); ok {
		p.batch = ipv4.NewPacketConn(u)
		if p.batch.SetControlMessage(ipv4.FlagDst, true) != nil {
			p.batch = nil
		}
	}
	return p
}

// source fixes the source address of what is sent, which is not left to the
// routes: it has to be the address that the client was told.
func (p *port) source(addr netip.Addr, index int) {
	cm := ipv4.ControlMessage{Src: addr.AsSlice(), IfIndex: index}
	p.oob = cm.Marshal()
}

// read handles packets, as many at a time as are waiting.
func (p *port) read(l *link) error {
	if p.batch == nil {
		return p.readOne(l)
	}
	ms := make([]ipv4.Message, batchSize)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, maxPacket+1)[:maxPacket]}
		ms[i].OOB = make([]byte, 64)
	}
	var cm ipv4.ControlMessage
	for {
		n, err := p.batch.ReadBatch(ms, 0)
		if err != nil {
			return closed(err)
		}
		w := l.s.work()
		for i := range ms[:n] {
			m := &ms[i]
			in := incoming{link: l, port: p.number, data: m.Buffers[0][:m.N]}
			if u, ok := m.Addr.(*net.UDPAddr); ok {
				in.from = u.AddrPort()
				in.from = netip.AddrPortFrom(in.from.Addr().Unmap(), in.from.Port())
			}
			if cm.Parse(m.OOB[:m.NN]) == nil {
				in.to = toAddr(cm.Dst)
			}
			l.s.handle(&in, w)
		}
		l.s.flush(w)
	}
}

func (p *port) readOne(l *link) error {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := p.conn.ReadFrom(buf[:maxPacket])
		if err != nil {
			return closed(err)
		}
		w := l.s.work()
		in := incoming{link: l, port: p.number, data: buf[:n]}
		if u, ok := from.(*net.UDPAddr); ok {
			in.from = netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), u.AddrPort().Port())
		}
		l.s.handle(&in, w)
		l.s.flush(w)
	}
}

// closed is nil for the error of a socket that was closed on purpose.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// sendAll sends answers, those of one port by one system call where possible.
// What cannot be sent is noted as a problem of its event.
func sendAll(out []outgoing) {
	var ms []ipv4.Message
	var of []int
	var at *port
	flush := func() {
		for len(ms) > 0 {
			n, err := at.batch.WriteBatch(ms, 0)
			if err != nil && n <= 0 {
				failed(&out[of[0]], err)
				n = 1
			}
			ms, of = ms[n:], of[n:]
		}
		ms, of = nil, nil
	}
	for i := range out {
		o := &out[i]
		socks := o.link.sockets()
		if socks == nil {
			failed(o, errors.New("the interface is gone"))
			continue
		}
		if o.hw != nil {
			if err := socks.sendFrame(o); err != nil {
				failed(o, err)
			}
			continue
		}
		p := socks.dhcp
		if o.port == bootPort {
			p = socks.pxe
		}
		if p.batch == nil {
			if _, err := p.conn.WriteTo(o.data, net.UDPAddrFromAddrPort(o.to)); err != nil {
				failed(o, err)
			}
			continue
		}
		if p != at && len(ms) > 0 {
			flush()
		}
		at = p
		if ms == nil {
			ms = make([]ipv4.Message, 0, min(len(out), batchSize))
			of = make([]int, 0, cap(ms))
		}
		ms = append(ms, ipv4.Message{Buffers: [][]byte{o.data}, OOB: p.oob, Addr: net.UDPAddrFromAddrPort(o.to)})
		of = append(of, i)
		if len(ms) == batchSize {
			flush()
		}
	}
	if len(ms) > 0 {
		flush()
	}
}

func failed(o *outgoing, err error) {
	o.note.wrong = fmt.Sprintf("the answer could not be sent to %s: %v", o.to.Addr(), err)
}
