package netplay

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
	"slipway/internal/netboot/node"
)

// client is a machine: its firmware, its loader, its kernel and its installer,
// one after the other. A step fails the test where it does not go as wanted.
type client struct {
	w      *world
	mac    net.HardwareAddr
	ip     netip.Addr
	xid    byte
	server netip.Addr
	offer  *dhcpv4.DHCPv4
	file   string // loader
	hello  string // URL of the first script
	script string
	kernel string // URLs
	initrd string
	node   string
	prove  string
	grant  string // of its order
}

func (w *world) client() *client { return w.clientOf(mac) }

func (w *world) clientOf(text string) *client {
	hw, err := net.ParseMAC(text)
	ok(w.t, err)
	return &client{w: w, mac: hw}
}

// words of DHCP.
var (
	uefi   = []dhcpv4.Modifier{text(60, "PXEClient:Arch:00007:UNDI:003016"), opt(93, 0, 7), opt(94, 1, 3, 16)}
	bios   = []dhcpv4.Modifier{text(60, "PXEClient:Arch:00000:UNDI:002001"), opt(93, 0, 0), opt(94, 1, 2, 1)}
	loaded = []dhcpv4.Modifier{text(60, "PXEClient:Arch:00007:UNDI:003010"), opt(93, 0, 7), text(77, "iPXE"), opt(175, 0xeb, 3, 1, 21, 1, 0x13, 1, 1, 0x15, 1, 1, 0x24, 1, 1)}
	system = []dhcpv4.Modifier{text(12, "machine")}
)

func opt(code uint8, value ...byte) dhcpv4.Modifier {
	return func(p *dhcpv4.DHCPv4) { p.Options[code] = value }
}
func text(code uint8, value string) dhcpv4.Modifier { return opt(code, []byte(value)...) }

// packet makes one of the client's.
func (c *client) packet(kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	p, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(c.mac), dhcpv4.WithMessageType(kind), dhcpv4.WithBroadcast(true)}, mods...)...)
	ok(c.w.t, err)
	copy(p.TransactionID[:], c.mac[2:])
	p.TransactionID[0] = c.xid
	return p
}

var everybody = net.HardwareAddr{255, 255, 255, 255, 255, 255}

// say broadcasts a packet.
func (c *client) say(p *dhcpv4.DHCPv4) {
	c.w.t.Helper()
	c.w.lan.wire.SetReadDeadline(time.Time{})
	c.w.lan.drain()
	c.w.lan.transmit(c.mac, everybody, netip.MustParseAddrPort("0.0.0.0:68"), netip.MustParseAddrPort("255.255.255.255:67"), p.ToBytes())
}

// answered waits for an answer; nil: there is none.
func (c *client) answered(within time.Duration) *dhcpv4.DHCPv4 {
	c.w.t.Helper()
	buf := make([]byte, 2000)
	for c.w.lan.wire.SetReadDeadline(time.Now().Add(within)) == nil {
		n, err := c.w.lan.wire.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		ok(c.w.t, err)
		p, err := dhcpv4.FromBytes(payload(buf[:n], 68))
		if err == nil && p.OpCode == dhcpv4.OpcodeBootReply && p.TransactionID[0] == c.xid && p.ClientHWAddr.String() == c.mac.String() {
			return p
		}
	}
	return nil
}

const soon = 5 * time.Second

// discover asks for offers and takes the first.
func (c *client) discover(mods ...dhcpv4.Modifier) *client {
	c.w.t.Helper()
	c.xid++
	for range 3 { // a packet may be lost, as on any network
		c.say(c.packet(dhcpv4.MessageTypeDiscover, mods...))
		if c.offer = c.answered(soon / 2); c.offer != nil {
			return c
		}
	}
	c.w.t.Fatal("nobody offers an address")
	return nil
}

// request takes the offer that it has.
func (c *client) request(mods ...dhcpv4.Modifier) *client {
	c.w.t.Helper()
	mods = append([]dhcpv4.Modifier{opt(50, c.offer.YourIPAddr.To4()...), opt(54, c.offer.Options[54]...)}, mods...)
	c.say(c.packet(dhcpv4.MessageTypeRequest, mods...))
	p := c.answered(soon)
	if p == nil || p.MessageType() != dhcpv4.MessageTypeAck {
		c.w.t.Fatalf("no acknowledgement: %v", p)
	}
	c.takes(p)
	if class := p.Options[60]; c.file == "" && c.hello == "" && string(class) == "PXEClient" {
		c.bootServer(mods...)
	}
	return c
}

// bootServer asks for the loader's name on port 4011, as firmware does that was
// told of a boot server alone.
func (c *client) bootServer(mods ...dhcpv4.Modifier) {
	c.w.t.Helper()
	var socket net.PacketConn
	c.w.lan.at(func() {
		var err error
		socket, err = net.ListenUDP("udp4", &net.UDPAddr{IP: c.ip.AsSlice(), Port: 68})
		ok(c.w.t, err)
	})
	defer socket.Close()
	p := c.packet(dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{dhcpv4.WithClientIP(c.ip.AsSlice())}, mods...)...)
	socket.WriteTo(p.ToBytes(), net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.w.lan.prefix.Addr(), 4011)))
	socket.SetReadDeadline(time.Now().Add(soon))
	buf := make([]byte, 2000)
	n, _, err := socket.ReadFrom(buf)
	ok(c.w.t, err)
	p, err = dhcpv4.FromBytes(buf[:n])
	ok(c.w.t, err)
	c.file = strings.TrimRight(p.BootFileNameOption(), "\x00")
}

// takes configures the client as the server's answer says.
func (c *client) takes(p *dhcpv4.DHCPv4) {
	c.ip, _ = netip.AddrFromSlice(p.YourIPAddr.To4())
	c.server, _ = netip.AddrFromSlice(p.ServerIPAddr.To4())
	if file := strings.TrimRight(p.BootFileNameOption(), "\x00"); file != "" && !strings.Contains(file, "://") {
		c.file = file
	} else if file != "" {
		c.hello = file
	}
	c.w.lan.own(c.ip)
}

// address is what firmware does first.
func (c *client) address(firmware ...dhcpv4.Modifier) *client {
	c.w.t.Helper()
	return c.discover(firmware...).request(firmware...)
}

// dial speaks TCP or UDP as the client.
func (c *client) dial(network, to string) (conn net.Conn, err error) {
	c.w.lan.at(func() {
		d := net.Dialer{Timeout: soon}
		if network == "udp" {
			d.LocalAddr = &net.UDPAddr{IP: c.ip.AsSlice()}
		} else {
			d.LocalAddr = &net.TCPAddr{IP: c.ip.AsSlice()}
		}
		conn, err = d.Dial(network, to)
	})
	return conn, err
}

// tftp reads a file, or so many bytes of it and then falls silent (0: all). It
// gives the error that the server answers.
func (c *client) tftp(name string, most int) ([]byte, error) {
	c.w.t.Helper()
	var socket net.PacketConn
	c.w.lan.at(func() {
		var err error
		socket, err = net.ListenUDP("udp4", &net.UDPAddr{IP: c.ip.AsSlice()})
		ok(c.w.t, err)
	})
	defer socket.Close()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.w.lan.prefix.Addr(), 69))
	socket.WriteTo([]byte("\x00\x01"+name+"\x00octet\x00blksize\x001024\x00"), to)
	var data []byte
	buf := make([]byte, 2000)
	for {
		socket.SetReadDeadline(time.Now().Add(soon))
		n, from, err := socket.ReadFrom(buf)
		if err != nil {
			return data, err
		}
		last := false
		switch p := buf[:n]; binary.BigEndian.Uint16(p) {
		case 5:
			return data, fmt.Errorf("TFTP error %d: %s", p[3], p[4:])
		case 6:
			socket.WriteTo([]byte{0, 4, 0, 0}, from)
		case 3:
			if int(binary.BigEndian.Uint16(p[2:]))*1024 > len(data) || n < 4+1024 {
				data = append(data, p[4:]...)
			}
			last = n < 4+1024
			if most > 0 && len(data) >= most {
				socket.WriteTo([]byte("\x00\x05\x00\x00no memory\x00"), from)
				return data, nil
			}
			socket.WriteTo([]byte{0, 4, p[2], p[3]}, from)
		}
		if last {
			return data, nil
		}
	}
}

// loader fetches the loader, whole.
func (c *client) loader() *client {
	c.w.t.Helper()
	data, err := c.tftp(c.file, 0)
	if err != nil || len(data) < 60<<10 {
		c.w.t.Fatalf("the loader %s: %d bytes, %v", c.file, len(data), err)
	}
	return c
}

// ipxe runs the loader: it asks for an address again and gets its script's.
func (c *client) ipxe() *client {
	c.w.t.Helper()
	c.address(loaded...)
	if !strings.HasSuffix(c.hello, "/boot.ipxe") {
		c.w.t.Fatalf("the loader is told to run %q", c.hello)
	}
	return c
}

// http is the client's.
func (c *client) http() *http.Client {
	return &http.Client{Timeout: 2 * soon, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, to string) (net.Conn, error) {
		return c.dial("tcp", to)
	}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get fetches an address; most > 0: it closes the line after so many bytes.
func (c *client) get(url string, most int64) (status int, data []byte) {
	c.w.t.Helper()
	resp, err := c.http().Get(url)
	ok(c.w.t, err)
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if most > 0 {
		body = io.LimitReader(body, most)
	}
	data, err = io.ReadAll(body)
	ok(c.w.t, err)
	return resp.StatusCode, data
}

var (
	chained = regexp.MustCompile(`chain --autofree (\S+?)\?`)
	kernels = regexp.MustCompile(`(?m)^kernel --name vmlinuz (\S+)`)
	initrds = regexp.MustCompile(`(?m)^initrd --name initrd (\S+)`)
	nodes   = regexp.MustCompile(`slipway\.node=(\S+)`)
	proofs  = regexp.MustCompile(`slipway\.prove=(\S+)`)
)

// asks reads the scripts; what it says of itself is added.
func (c *client) asks(words ...string) *client {
	c.w.t.Helper()
	status, data := c.get(c.hello, 0)
	m := chained.FindSubmatch(data)
	if status != http.StatusOK || m == nil {
		c.w.t.Fatalf("the first script: %d %s", status, data)
	}
	q := url.Values{"mac": {c.mac.String()}, "mem": {"2048"}, "platform": {"efi"}, "arch": {"x86_64"}}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		q.Set(key, value)
	}
	if status, data = c.get(string(m[1])+"?"+q.Encode(), 0); status != http.StatusOK {
		c.w.t.Fatalf("its script: %d %s", status, data)
	}
	c.script = string(data)
	c.kernel, c.initrd, c.node, c.prove = first(kernels, c.script), first(initrds, c.script), first(nodes, c.script), first(proofs, c.script)
	return c
}

func first(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// fetches gets a file whole.
func (c *client) fetches(url string) *client {
	c.w.t.Helper()
	if status, data := c.get(url, 0); status != http.StatusOK || len(data) < 1<<20 {
		c.w.t.Fatalf("%s: status %d, %d bytes; script: %s", url, status, len(data), c.script)
	}
	return c
}

// systems fetches kernel and initrd, and is on its own then.
func (c *client) systems() *client {
	c.w.t.Helper()
	return c.fetches(c.kernel).fetches(c.initrd)
}

// boots is all of it up to there.
func (c *client) boots() *client {
	c.w.t.Helper()
	return c.address(uefi...).loader().ipxe().asks().systems()
}

// post sends something to the server's small system; it gives the status.
func (c *client) post(what string, v any) (int, []byte) {
	c.w.t.Helper()
	body, isText := v.(string)
	if !isText {
		data, err := json.Marshal(v)
		ok(c.w.t, err)
		body = string(data)
	}
	resp, err := c.http().Post(c.node+what, "", strings.NewReader(body))
	ok(c.w.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	ok(c.w.t, err)
	return resp.StatusCode, data
}

// hardware is what it is made of.
var hardware = &node.Hardware{Vendor: "Acme", Product: "One", Firmware: "uefi", CPU: "a processor", CPUs: 4, Memory: 2 << 30,
	NICs:  []node.NIC{{Name: "eth0", MAC: mac, Driver: "igb", Path: "0000:00:04.0", Link: true}},
	Disks: []node.Disk{{Name: "sda", Serial: "OTHER", Size: 100 << 30, Bus: "ahci"}}}

// order is the small system's question.
func (c *client) order() *client {
	c.w.t.Helper()
	c.grant = c.orders(hardware).Grant
	return c
}

// orders asks what to do.
func (c *client) orders(h *node.Hardware) (order node.Order) {
	c.w.t.Helper()
	status, data := c.post("order", node.Question{Nonce: fmt.Sprint(time.Now().UnixNano()), Hardware: h})
	var signed struct{ Order []byte }
	if status != http.StatusOK || json.Unmarshal(data, &signed) != nil || json.Unmarshal(signed.Order, &order) != nil {
		c.w.t.Fatalf("asking what to do: %d %s", status, data)
	}
	return order
}

// reports tells how it gets on.
func (c *client) reports(r node.Report) *client {
	c.w.t.Helper()
	if status, data := c.post("report", r); status != http.StatusNoContent {
		c.w.t.Fatalf("reporting: %d %s", status, data)
	}
	return c
}

// proves tells as the system that runs.
func (c *client) proves(r node.Report) *client {
	c.w.t.Helper()
	c.node = c.prove
	return c.reports(r)
}

// syslog sends a line of its log.
func (c *client) syslog(text string) *client {
	c.w.t.Helper()
	conn, err := c.dial("udp", netip.AddrPortFrom(c.w.lan.prefix.Addr(), 514).String())
	ok(c.w.t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	ok(c.w.t, err)
	c.w.saw(fleet.KindNodeLog, text[strings.LastIndex(text, ": ")+2:])
	return c
}

// saw waits until an event was recorded of the machine.
func (w *world) saw(kind, words string) fleet.Event {
	w.t.Helper()
	for end := time.Now().Add(2 * soon); ; time.Sleep(5 * time.Millisecond) {
		ok(w.t, w.Fleet.Flush(w.t.Context()))
		events, err := w.Fleet.Store().Events(w.t.Context(), fleet.Query{})
		ok(w.t, err)
		for _, e := range events {
			if e.Kind == kind && strings.Contains(e.Text+" "+e.Problem, words) {
				return e
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("nothing was recorded of the kind %s that says %q", kind, words)
		}
	}
}
