package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside gives the test's thread a network of its own with a bridge, or skips.
func inside(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the network with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make network namespaces: %v", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br"
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Skipf("there are no bridges here: %v", err)
	}
	bridge, err := netlink.LinkByName("br")
	if err == nil {
		err = netlink.LinkSetUp(bridge)
	}
	if err == nil {
		err = netlink.AddrAdd(bridge, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

var (
	guestMAC = []byte{0x52, 0x54, 0, 1, 2, 3}
	guestIP  = []byte{192, 0, 2, 9}
	hostIP   = []byte{192, 0, 2, 1}
)

// arp asks who has the host's address.
func arp() []byte {
	frame := bytes.Repeat([]byte{0xff}, 6)
	frame = append(frame, guestMAC...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, guestMAC...), guestIP...)
	return append(append(frame, make([]byte, 6)...), hostIP...)
}

// answered asks until the host answers: the kernel switches a new port on in
// its own time, and what comes before is lost, as on any network.
func answered(t *testing.T, ask func(), next func() ([]byte, error)) {
	t.Helper()
	for range 50 {
		ask()
		for {
			frame, err := next()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(frame) >= 42 && bytes.Equal(frame[:6], guestMAC) && bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 && bytes.Equal(frame[28:32], hostIP) {
				return
			}
		}
	}
	t.Fatal("the host does not answer")
}

func TestTap(t *testing.T) {
	inside(t)
	tap, err := OpenTap("br", "m1")
	if errors.Is(err, errNoTun) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	const header = 10 // of virtio-net, in front of each frame
	ask := func() { tap.Write(append(make([]byte, header), arp()...)) }
	buf := make([]byte, MaxFrame)
	answered(t, ask, func() ([]byte, error) {
		tap.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // it gives whole frames or none
		n, err := tap.Read(buf)
		return buf[min(header, n):n], err
	})
	tap.Close()
	if _, err := netlink.LinkByName("m1"); err == nil {
		t.Error("the tap outlives its descriptor")
	}
}

// qemuSide speaks the stream framing as QEMU does.
func qemuSide(t *testing.T, f *os.File) net.Conn {
	t.Helper()
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, frame []byte) {
	t.Helper()
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
		t.Fatal(err)
	}
}

func TestPump(t *testing.T) {
	inside(t)
	f, p, err := OpenPump("br", "m1")
	if err != nil {
		t.Fatal(err)
	}
	c := qemuSide(t, f)
	next := frames(c)
	answered(t, func() { send(t, c, arp()) }, next)

	// Datagrams of the host arrive with their checksum: no device will add it.
	host, err := net.ListenUDP("udp4", &net.UDPAddr{IP: hostIP})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	host.WriteTo([]byte("hello"), &net.UDPAddr{IP: guestIP, Port: 9})
	for tries := 0; ; tries++ {
		frame, err := next()
		if err != nil && (tries > 100 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			t.Fatal(err)
		}
		if len(frame) > 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17 && bytes.Equal(frame[30:34], guestIP) {
			if !checksumRight(frame) {
				t.Errorf("a datagram arrives with a wrong checksum: % x", frame)
			}
			break
		}
	}

	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := netlink.LinkByName("m1"); err == nil {
		t.Error("the port is still there")
	}
	for err = nil; err == nil || errors.Is(err, os.ErrDeadlineExceeded); { // what was on its way
		_, err = next()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("QEMU's end: %v", err)
	}
}

// frames reads on while nobody waits, and gives up waiting without losing its
// place.
func frames(c net.Conn) (next func() ([]byte, error)) {
	type result struct {
		frame []byte
		err   error
	}
	results := make(chan result, 1000)
	go func() {
		defer close(results)
		for {
			frame, err := readFrame(c, make([]byte, MaxFrame))
			results <- result{frame, err}
			if err != nil {
				return
			}
		}
	}()
	return func() ([]byte, error) {
		select {
		case r, ok := <-results:
			if !ok {
				return nil, io.EOF
			}
			return r.frame, r.err
		case <-time.After(200 * time.Millisecond):
			return nil, os.ErrDeadlineExceeded
		}
	}
}

// checksumRight computes that of UDP over IPv4 without options.
func checksumRight(frame []byte) bool {
	udp := frame[34 : 34+int(binary.BigEndian.Uint16(frame[38:]))]
	sum := uint32(17 + len(udp))
	for _, part := range [][]byte{frame[26:34], udp} {
		for i := 0; i < len(part); i++ {
			sum += uint32(part[i]) << (8 * (1 - uint(i%2)))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// TestPumpEndsWithQEMU: nothing is left running when QEMU goes first.
func TestPumpEndsWithQEMU(t *testing.T) {
	inside(t)
	f, p, err := OpenPump("br", "m1")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	done := make(chan struct{})
	go func() { p.done.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the pump goes on")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenFallsBack(t *testing.T) {
	inside(t)
	had := tunDevice
	tunDevice = filepath.Join(t.TempDir(), "tun")
	defer func() { tunDevice = had }()
	for range 2 { // the second replaces what the first left
		c, err := Open("br", "m1")
		if err != nil {
			t.Fatal(err)
		}
		if c.Tap != nil || c.Stream == nil {
			t.Errorf("got %+v", c)
		}
		defer c.Close()
		defer c.Stream.Close()
	}
	for _, names := range [][2]string{{"br", "a-name-that-is-too-long"}, {"none", "m2"}} {
		if _, err := Open(names[0], names[1]); err == nil || !strings.Contains(err.Error(), names[0]) && !strings.Contains(err.Error(), names[1]) {
			t.Errorf("%v: %v", names, err)
		}
	}
	if _, err := netlink.LinkByName("m2"); err == nil {
		t.Error("a port without a bridge was left")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 2, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, buf := bytes.NewReader(data), make([]byte, MaxFrame)
		var out bytes.Buffer
		for {
			frame, err := readFrame(r, buf)
			if err != nil {
				break
			}
			writeFrame(&out, append(make([]byte, 4), frame...))
		}
		if !bytes.HasPrefix(data, out.Bytes()) {
			t.Errorf("% x became % x", data, out.Bytes())
		}
	})
}
