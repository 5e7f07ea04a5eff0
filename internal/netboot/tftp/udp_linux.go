package tftp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpConn reads with recvmmsg and writes with sendmmsg. The blocks of a window
// leave as one message that the kernel cuts (UDP_SEGMENT, udp(7)), where the
// route can do that.
type udpConn struct {
	c        *net.UDPConn
	raw      syscall.RawConn
	v6       bool
	in       *vector
	out      sync.Pool
	segments atomic.Bool
}

// mmsghdr is struct mmsghdr, recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// vector is the memory of one call.
type vector struct {
	msgs    []mmsghdr
	iovs    []unix.Iovec
	names   []unix.RawSockaddrInet6
	control [][controlRoom]byte
	bufs    []byte
}

const controlRoom = 96

func newUDPConn(c *net.UDPConn) (*udpConn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	u := &udpConn{c: c, raw: raw, in: newVector(batch)}
	u.out.New = func() any { return newVector(batch) }
	u.in.bufs = make([]byte, batch*(maxRequest+1))
	u.segments.Store(true)
	var fail error
	err = raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		u.v6, fail = family == unix.AF_INET6, err
		if err != nil {
			return
		}
		if u.v6 {
			fail = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1); !u.v6 {
			fail = err
		}
	})
	if err != nil {
		return nil, err
	}
	// A burst of acknowledgements and of first requests must fit; the kernel
	// grants what its limit allows.
	c.SetReadBuffer(4 << 20)
	c.SetWriteBuffer(4 << 20)
	return u, fail
}

func newVector(n int) *vector {
	return &vector{
		msgs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n),
		names: make([]unix.RawSockaddrInet6, n), control: make([][controlRoom]byte, n),
	}
}

func (u *udpConn) close() error { return u.c.Close() }

func (u *udpConn) read(in []packet) (int, error) {
	v, size := u.in, maxRequest+1
	count := min(len(in), batch)
	for i := range count {
		v.iovs[i].Base = &v.bufs[i*size]
		v.iovs[i].SetLen(size)
		h := &v.msgs[i].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&v.names[i])), Namelen: unix.SizeofSockaddrInet6, Iov: &v.iovs[i], Control: &v.control[i][0]}
		h.SetIovlen(1)
		h.SetControllen(controlRoom)
	}
	var got uintptr
	var errno syscall.Errno
	err := u.raw.Read(func(fd uintptr) bool {
		for {
			got, _, errno = syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&v.msgs[0])), uintptr(count), 0, 0, 0)
			if errno != syscall.EINTR {
				return errno != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	for i := range int(got) {
		m := &v.msgs[i]
		in[i] = packet{
			data: v.bufs[i*size:][:m.n], peer: peerOf(&v.names[i]),
			local: localOf(v.control[i][:m.hdr.Controllen]),
		}
	}
	return int(got), nil
}

func peerOf(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port)
}

// localOf finds the address that a packet was sent to (ip(7), ipv6(7)).
func localOf(control []byte) netip.Addr {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if int(h.Len) < unix.SizeofCmsghdr || int(h.Len) > len(control) {
			break
		}
		data := control[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[8:12]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data[:16])).Unmap()
		}
		control = control[min(len(control), unix.CmsgSpace(len(data))):]
	}
	return netip.Addr{}
}
