package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// openFrames opens the sockets below UDP. All or none.
func (s *sockets) openFrames(index int) error {
	frames, err := packetSocket(0, index, nil)
	if err != nil {
		return err
	}
	arp, err := packetSocket(unix.ETH_P_ARP, index, nil)
	if err != nil {
		frames.Close()
		return err
	}
	ears, err := packetSocket(unix.ETH_P_IP, index, serversOnly)
	if err != nil {
		frames.Close()
		arp.Close()
		return err
	}
	s.frames, s.arp, s.ears = frames, arp, ears
	if s.link.s.Mode == Full && !s.link.s.NoConflictCheck {
		for i := range s.link.s.Subnets {
			if !s.link.s.Subnets[i].Prefix.Contains(s.link.address()) && s.ping == nil {
				s.ping, _ = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
			}
		}
	}
	return nil
}

// packetSocket opens a socket for frames of one protocol on one interface;
// protocol 0 only sends.
func packetSocket(protocol uint16, index int, filter []bpf.Instruction) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if filter != nil {
		err = attach(fd, filter)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(protocol), Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet socket"), nil
}

func swap(v uint16) uint16 { return v<<8 | v>>8 }

func attach(fd int, filter []bpf.Instruction) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
}

// serversOnly lets UDP from port 67 to port 68 pass: answers to clients.
var serversOnly = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 7},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 5}, // a later fragment
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 0, Size: 4}, // both ports
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: serverPort<<16 | clientPort, SkipTrue: 2},
	bpf.RetConstant{Val: maxPacket},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: 0},
}

// sendFrame sends an answer to a hardware address whose IP address does not
// answer ARP yet.
func (s *sockets) sendFrame(o *outgoing) error {
	b := udpPacket(o.from, o.to.Addr(), serverPort, clientPort, o.data)
	to := &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_IP), Ifindex: s.index, Halen: 6}
	copy(to.Addr[:], o.hw)
	return s.transmit(s.frames, b, to)
}

func (s *sockets) transmit(f *os.File, b []byte, to *unix.SockaddrLinklayer) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := c.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), b, 0, to)
		return sent != unix.EAGAIN
	}); err != nil {
		return err
	}
	return sent
}

// receive calls with for every frame until the file is closed.
func receive(f *os.File, with func(b []byte, from *unix.SockaddrLinklayer)) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, maxPacket)
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := c.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return closed(err)
		}
		if failed != nil {
			if failed == unix.EINTR {
				continue
			}
			return failed // ENETDOWN: the interface went down
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype != unix.PACKET_OUTGOING {
			with(buf[:n], ll)
		}
	}
}

// udpPacket makes an IPv4 packet (RFC 791) with UDP (RFC 768) in it.
func udpPacket(src, dst netip.Addr, sport, dport uint16, data []byte) []byte {
	b := make([]byte, 28+len(data))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	from, to := src.As4(), dst.As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[10:], ^sum(b[:20], 0))
	u := b[20:]
	binary.BigEndian.PutUint16(u[0:], sport)
	binary.BigEndian.PutUint16(u[2:], dport)
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	copy(u[8:], data)
	c := ^sum(u, uint32(sum(b[12:20], 0))+unix.IPPROTO_UDP+uint32(len(u)))
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], c)
	return b
}

// sum is the Internet checksum (RFC 1071), not inverted.
func sum(b []byte, start uint32) uint16 {
	total := uint64(start)
	for ; len(b) >= 2; b = b[2:] {
		total += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		total += uint64(b[0]) << 8
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// whoHas sends an ARP probe: a request without a sender's address, so that
// nobody's table changes (RFC 5227, 2.1.1).
func (s *sockets) whoHas(addr uint32) error {
	if s.arp == nil || len(s.hw) != 6 {
		return errors.New("no ARP on this link")
	}
	b := [28]byte{0, 1, 8, 0, 6, 4, 0, 1}
	copy(b[8:], s.hw)
	binary.BigEndian.PutUint32(b[24:], addr)
	to := &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_ARP), Ifindex: s.index, Halen: 6}
	copy(to.Addr[:], []byte{255, 255, 255, 255, 255, 255})
	return s.transmit(s.arp, b[:], to)
}

// hearARP tells the asker who uses which address: whoever says so, in an
// answer or in a question of its own.
func (s *sockets) hearARP() error {
	return receive(s.arp, func(b []byte, _ *unix.SockaddrLinklayer) {
		if len(b) < 28 || b[0] != 0 || b[1] != 1 || b[2] != 8 || b[3] != 0 || b[4] != 6 || b[5] != 4 {
			return
		}
		if addr := binary.BigEndian.Uint32(b[14:]); addr != 0 {
			s.link.asker.heard(addr, net.HardwareAddr(b[8:14]).String())
		}
	})
}

// echo pings an address beyond a router.
func (s *sockets) echo(addr uint32) error {
	if s.ping == nil {
		return errors.New("no ICMP")
	}
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: 1, Data: []byte("slipway")}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = s.ping.WriteTo(b, &net.IPAddr{IP: address(addr).AsSlice()})
	return err
}

func (s *sockets) hearEchoes() error {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.ping.ReadFrom(buf)
		if err != nil {
			return closed(err)
		}
		if n > 0 && buf[0] == byte(ipv4.ICMPTypeEchoReply) {
			if a, ok := from.(*net.IPAddr); ok {
				if v := toAddr(a.IP); v.IsValid() {
					s.link.asker.heard(number(v), v.String())
				}
			}
		}
	}
}

// hearServers listens for answers that are not ours.
func (s *sockets) hearServers() error {
	return receive(s.ears, func(b []byte, _ *unix.SockaddrLinklayer) {
		if s.link.s.NoRivalCheck || len(b) < 28 || int(b[0]&15)*4+8 > len(b) {
			return
		}
		src := toAddr(net.IP(b[12:16]))
		if src == s.link.address() {
			return
		}
		data := b[int(b[0]&15)*4+8:]
		s.link.s.overheard(s.link, src, data[:len(data):len(data)])
	})
}

// findRivals asks, as a machine that boots would, who else answers here: at
// the start of a session, three times, as packets are lost.
func (l *link) findRivals(ctx context.Context) {
	for i := range 3 {
		socks := l.sockets()
		if socks == nil || len(socks.hw) != 6 {
			return
		}
		hw := append([]byte{}, socks.hw...) // a local address made of the interface's own
		hw[0] = 0x02 | byte(i)<<4
		now := time.Now().UnixNano()
		data := discoverRivals(hw, [4]byte{byte(now >> 24), byte(now >> 16), byte(now >> 8), byte(now)})
		everybody := &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_IP), Ifindex: socks.index, Halen: 6}
		copy(everybody.Addr[:], []byte{255, 255, 255, 255, 255, 255})
		none, all := netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte{255, 255, 255, 255})
		socks.transmit(socks.frames, udpPacket(none, all, clientPort, serverPort, data), everybody)
		select {
		case <-ctx.Done():
			return
		case <-time.After(700 * time.Millisecond):
		}
	}
	l.s.state.mu.Lock()
	l.s.state.asked = true
	l.s.state.mu.Unlock()
}
