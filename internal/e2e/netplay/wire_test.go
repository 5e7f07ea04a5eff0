package netplay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// segment is a cable between the server's namespace and one of the clients'.
type segment struct {
	t      testing.TB
	name   string // of the server's interface; the clients' is the same with a c before it
	prefix netip.Prefix
	do     chan func()
	wire   *os.File // a packet socket at the clients' end
	index  int
	server net.HardwareAddr
}

// segments counts them: each has its number in names and addresses.
var segments = make(chan int, 250)

func init() {
	for i := range cap(segments) {
		segments <- i + 1
	}
}

// newSegment lays the cable.
func newSegment(t testing.TB) *segment {
	t.Helper()
	if os.Getenv(inside) != "yes" {
		t.Skip("no network namespace can be made here: ", os.Getenv(inside))
	}
	n := <-segments
	t.Cleanup(func() { segments <- n })
	s := &segment{t: t, name: "lan" + itoa(n), prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(n), 1}), 24), do: make(chan func())}
	ns := make(chan *os.File)
	go func() { // the thread stays in the namespace, and ends with the goroutine
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			close(ns)
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		ns <- f
		for f := range s.do {
			f()
		}
	}()
	f := <-ns
	if f == nil {
		t.FailNow()
	}
	defer f.Close()
	t.Cleanup(func() { close(s.do) })
	s.plug(f)
	s.at(func() {
		lo, err := netlink.LinkByName("lo")
		ok(t, err, netlink.LinkSetUp(lo))
		far, err := netlink.LinkByName("c" + s.name)
		ok(t, err, netlink.LinkSetUp(far))
		s.index = far.Attrs().Index
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(swap(unix.ETH_P_IP)))
		ok(t, err, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_IP), Ifindex: s.index}))
		s.wire = os.NewFile(uintptr(fd), "wire")
	})
	t.Cleanup(func() { s.wire.Close() })
	return s
}

// plug makes the pair of interfaces, the far one in the namespace ns.
func (s *segment) plug(ns *os.File) {
	s.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.name
	ok(s.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "c" + s.name, PeerNamespace: netlink.NsFd(ns.Fd())}))
	near, err := netlink.LinkByName(s.name)
	ok(s.t, err, netlink.AddrAdd(near, s.ipNet(s.prefix.Addr())), netlink.LinkSetUp(near))
	s.server = near.Attrs().HardwareAddr
	s.t.Cleanup(func() { netlink.LinkDel(near) })
}

func (s *segment) ipNet(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(s.prefix.Bits(), 32)}}
}

// addr is the segment's address with that last byte.
func (s *segment) addr(last byte) netip.Addr {
	b := s.prefix.Addr().As4()
	b[3] = last
	return netip.AddrFrom4(b)
}

// at runs a function in the clients' namespace.
func (s *segment) at(f func()) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); f() }
	<-done
}

// own gives the clients' end an address.
func (s *segment) own(a netip.Addr) {
	s.at(func() {
		far, err := netlink.LinkByName("c" + s.name)
		if err == nil {
			err = netlink.AddrReplace(far, s.ipNet(a))
		}
		if err != nil {
			s.t.Error(err)
		}
	})
}

// transmit puts a UDP packet on the wire as it stands.
func (s *segment) transmit(src, dst net.HardwareAddr, from, to netip.AddrPort, data []byte) {
	s.t.Helper()
	b := make([]byte, 14+20+8, 14+20+8+len(data))
	copy(b, dst)
	copy(b[6:], src)
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip, udp := b[14:34], b[34:42]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(data)))
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum&0xffff))
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(data)))
	if _, err := s.wire.Write(append(b, data...)); err != nil {
		s.t.Errorf("putting a packet on the wire: %v", err)
	}
}

// drain throws away what came in: what was fetched fills the socket too.
func (s *segment) drain() {
	raw, err := s.wire.SyscallConn()
	ok(s.t, err)
	buf := make([]byte, 2000)
	raw.Read(func(fd uintptr) bool {
		for {
			if _, err := unix.Read(int(fd), buf); err != nil {
				return true
			}
		}
	})
}

// payload is what a frame carries to a UDP port; nil: something else.
func payload(frame []byte, port uint16) []byte {
	if len(frame) < 42 || frame[14]>>4 != 4 || frame[23] != unix.IPPROTO_UDP {
		return nil
	}
	udp := frame[14+int(frame[14]&15)*4:]
	if len(udp) < 8 || binary.BigEndian.Uint16(udp[2:]) != port {
		return nil
	}
	return udp[8:]
}

func swap(v uint16) uint16 { return v<<8 | v>>8 }

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

func ok(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
