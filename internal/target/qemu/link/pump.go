package link

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Pump moves frames between a port of a bridge and QEMU.
type Pump struct {
	port   string
	packet *os.File // raw socket on the far end of the port's veth pair
	stream net.Conn // to QEMU
	handle *netlink.Handle
	done   sync.WaitGroup
	once   sync.Once
}

// OpenPump makes a veth pair whose near end, called name, is in the bridge, and
// starts to pump. The file is QEMU's end, which the caller gives away or
// closes; the pump ends with it, or with Close.
func OpenPump(bridge, name string) (qemu *os.File, p *Pump, err error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	p = &Pump{port: name}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	// Ours for good: Close may be called on a thread of another namespace.
	if p.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, p, fmt.Errorf("reaching the network: %w", err)
	}
	far := farName(name)
	if err := makePair(bridge, name, far); err != nil {
		return nil, p, err
	}
	if p.packet, err = openPacket(far); err != nil {
		return nil, p, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, p, fmt.Errorf("making QEMU's end of %s: %w", name, err)
	}
	ours := os.NewFile(uintptr(fds[0]), "pump "+name)
	qemu = os.NewFile(uintptr(fds[1]), "qemu "+name)
	p.stream, err = net.FileConn(ours)
	ours.Close()
	if err != nil {
		qemu.Close()
		return nil, p, fmt.Errorf("making QEMU's end of %s: %w", name, err)
	}
	p.done.Add(2)
	go p.toQEMU()
	go p.fromQEMU()
	return qemu, p, nil
}

// farName is the far end's: interface names begin with a letter, so that this
// is nobody's port.
func farName(name string) string {
	far := "~" + name
	return far[:min(len(far), unix.IFNAMSIZ-1)]
}

func makePair(bridge, name, far string) error {
	remove(name)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: far}); err != nil {
		return fmt.Errorf("making a veth pair for %s: %w", name, err)
	}
	port, err := attach(bridge, name)
	if err != nil {
		return err
	}
	peer, err := netlink.LinkByName(far)
	if err == nil {
		err = netlink.LinkSetMTU(peer, port.Attrs().MTU)
	}
	// No address of its own: it belongs to the guest alone.
	if err == nil {
		quiet(peer)
		err = errors.Join(netlink.LinkSetARPOff(peer), netlink.LinkSetUp(peer))
	}
	if err != nil {
		return fmt.Errorf("switching %s on: %w", far, err)
	}
	// What leaves the bridge has its checksums and its final size: there is
	// no device behind it that would do that.
	for _, feature := range []uint32{ethtoolTxChecksum, ethtoolTSO, ethtoolGSO} {
		switchOff(name, feature)
	}
	switchOff(far, ethtoolGRO)
	return nil
}

// Commands of linux/ethtool.h.
const (
	ethtoolTxChecksum = 0x17
	ethtoolTSO        = 0x1f
	ethtoolGSO        = 0x24
	ethtoolGRO        = 0x2c
)

// switchOff is best effort: a kernel without the feature needs nothing.
func switchOff(name string, command uint32) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
}

// openPacket makes a socket that sees every frame that the bridge sends to the
// port, and none of its own.
func openPacket(name string) (*os.File, error) {
	i, err := netInterface(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w", name, err)
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(i.Index), Type: unix.PACKET_MR_PROMISC})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("opening a packet socket on %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "packets "+name), nil
}

func (p *Pump) toQEMU() {
	defer p.done.Done()
	buf := make([]byte, 4+MaxFrame)
	for {
		n, err := p.packet.Read(buf[4:])
		if temporary(err) {
			continue
		}
		if err != nil || writeFrame(p.stream, buf[:4+n]) != nil {
			p.stop()
			return
		}
	}
}

func (p *Pump) fromQEMU() {
	defer p.done.Done()
	r, buf := bufio.NewReaderSize(p.stream, 64<<10), make([]byte, MaxFrame)
	for {
		frame, err := readFrame(r, buf)
		if err != nil {
			p.stop()
			return
		}
		// A frame that does not fit, or a full queue, is a lost frame, as on
		// any network.
		if _, err := p.packet.Write(frame); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// temporary errors are told once by a packet socket, and mean nothing: the
// interface was switched off.
func temporary(err error) bool { return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.EINTR) }

// stop ends both directions.
func (p *Pump) stop() {
	p.once.Do(func() {
		if p.packet != nil {
			p.packet.Close()
		}
		if p.stream != nil {
			p.stream.Close()
		}
	})
}

// Close ends the pump and takes the port away.
func (p *Pump) Close() error {
	p.stop()
	p.done.Wait()
	if p.handle == nil {
		return nil
	}
	defer func() { p.handle.Close(); p.handle = nil }()
	port, err := p.handle.LinkByName(p.port)
	if err != nil {
		return nil // gone with its namespace
	}
	if err := p.handle.LinkDel(port); err != nil {
		return fmt.Errorf("removing the port %s: %w", p.port, err)
	}
	return nil
}
