package installer

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"slipway/internal/e2e/kit"
	"slipway/internal/lab"
	"slipway/internal/sandbox"
	"slipway/internal/target/qemu"
	"slipway/internal/target/qemu/link"
)

func TestMain(m *testing.M) { kit.Main(m) }

// cable is a lab of its own with one machine in it: the test listens where the
// machine sees the host, and the machine sees nothing else.
type cable struct {
	card   qemu.NIC
	http   net.Listener
	syslog net.PacketConn
	server netip.Addr // the host, as the machine sees it
	client netip.Addr
}

func init() { sandbox.RegisterEntry("e2e-installer:lab", labMember) }

// labMember holds the lab. It gives the sockets that must be made inside it to
// the test, whose own network is the host's, and ends with the test.
func labMember() int {
	if err := member(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "the test's process in the lab:", err)
		return 1
	}
	return 0
}

// wires is what the member tells beside the descriptors.
type wires struct {
	Server, Client netip.Addr
	Stream         bool
}

func member(ctx context.Context) error {
	l, err := lab.Inside(ctx)
	if err != nil {
		return err
	}
	defer l.Leave()
	go l.Serve(ctx)
	entry, err := l.Announce(ctx, lab.Machine{Name: "installer", MAC: mac, DHCP: true})
	if err != nil {
		return err
	}
	defer entry.Close()
	c, err := link.Open(lab.Bridge, entry.Port)
	if err != nil {
		return err
	}
	defer c.Close()
	card := c.Tap
	if card == nil {
		card = c.Stream
	}
	gateway := l.Subnets.Gateway4()
	tcp, err := net.Listen("tcp", netip.AddrPortFrom(gateway, 80).String())
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", netip.AddrPortFrom(gateway, 514).String())
	if err != nil {
		return err
	}
	tcpFile, err := tcp.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	udpFile, err := udp.(*net.UDPConn).File()
	if err != nil {
		return err
	}
	text, err := json.Marshal(wires{gateway, entry.IPv4, c.Stream != nil})
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(card.Fd()), int(tcpFile.Fd()), int(udpFile.Fd()))
	if err := unix.Sendmsg(0, text, rights, nil, 0); err != nil {
		return err
	}
	card.Close()
	_, err = os.Stdin.Read(make([]byte, 1)) // until the test closes its end
	return nil
}

// mac is the machine's address.
const mac = "52:54:00:12:00:01"

// connect makes the lab.
func connect(t *testing.T) *cable {
	t.Helper()
	host, err := sandbox.Detect()
	if err != nil {
		t.Skipf("this host cannot build: %v", err)
	}
	l, err := lab.JoinAt(t.Context(), host, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Leave() // the member holds it from then on
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "lab"), os.NewFile(uintptr(pair[1]), "lab")
	cmd := l.Command("e2e-installer:lab")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Files = []*os.File{theirs, os.Stderr, os.Stderr}
	process, err := cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		process.Wait()
	})
	c, err := receive(ours)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receive(ours *os.File) (*cable, error) {
	fd := int(ours.Fd())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}); err != nil {
		return nil, err
	}
	text, space := make([]byte, 4096), make([]byte, unix.CmsgSpace(3*4))
	n, got, _, _, err := unix.Recvmsg(fd, text, space, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("the process in the lab gave no answer: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(space[:got])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the process in the lab gave no descriptors: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 3 {
		return nil, fmt.Errorf("the process in the lab gave %d descriptors: %w", len(fds), err)
	}
	var w wires
	if err := json.Unmarshal(text[:n], &w); err != nil {
		return nil, err
	}
	c := &cable{server: w.Server, client: w.Client}
	address, _ := net.ParseMAC(mac)
	c.card = qemu.NIC{MAC: address}
	if file := os.NewFile(uintptr(fds[0]), "card"); w.Stream {
		c.card.Stream = file
	} else {
		c.card.Tap = file
	}
	if c.http, err = net.FileListener(os.NewFile(uintptr(fds[1]), "http")); err != nil {
		return nil, err
	}
	c.syslog, err = net.FilePacketConn(os.NewFile(uintptr(fds[2]), "syslog"))
	return c, err
}
