package netplay

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
	"slipway/internal/netboot/node"
)

// play is a boot that goes wrong, and what slipway boot why has to say of it.
type play struct {
	cause   string
	what    string // in which way, where a cause has several
	netboot string // of the definition; default: RAM
	change  func(*setup)
	act     func(*client)
	later   time.Duration // when it is asked; default: at once
	reached string        // the furthest stage
	detail  string        // what was seen has these words
	cure    string        // and the cure these
}

// quiet is how long it takes until silence is a fault, at any stage.
const quiet = 15 * time.Minute

var plays = []play{
	{cause: "silent", act: func(*client) {}, later: quiet, cure: "is it on"},
	{cause: "rival", what: "its offer was taken", reached: fleet.StageFirmware, detail: ".9", cure: "stop the other server", act: func(c *client) {
		c.discover(uefi...)
		c.overrides(c.offers(c.w.lan.addr(9)), uefi...)
		c.w.saw(fleet.KindRequest, "takes the offer of")
	}},
	{cause: "rival", what: "it was first", reached: fleet.StageFirmware, detail: ".9", cure: "proxy mode", act: func(c *client) {
		c.discover(uefi...)
		c.offers(c.w.lan.addr(9))
		c.w.saw(fleet.KindRival, "answers on")
	}},
	{cause: "no-4011", change: func(s *setup) { s.Proxy = true }, reached: fleet.StageFirmware, later: quiet, cure: "4011", act: func(c *client) {
		for range 2 { // in the second form that is tried, the file is named on port 4011 alone
			c.discover(uefi...)
		}
		c.offers(c.w.lan.addr(9)) // the foreign server, as is wanted
		c.w.saw(fleet.KindRival, "the DHCP server of")
	}},
	{cause: "offer-ignored", reached: fleet.StageFirmware, later: quiet, cure: "UDP 67 and 68", act: func(c *client) { c.discover(uefi...) }},
	{cause: "exhausted", reached: fleet.StageFirmware, detail: "no free address", cure: "enlarge the pool", act: func(c *client) {
		for i := range 4 {
			c.w.clientOf("52:54:00:00:01:0" + itoa(i)).discover(system...).request(system...)
		}
		last := c.w.clientOf("52:54:00:00:01:09")
		last.say(last.packet(dhcpv4.MessageTypeDiscover, uefi...))
		c.w.saw(fleet.KindDiscover, "no free address")
		c.mac = last.mac
	}},
	{cause: "address", what: "declined", reached: fleet.StageDHCP, detail: "in use by another machine", cure: "neighbour table", act: func(c *client) {
		c.address(uefi...)
		c.say(c.packet(dhcpv4.MessageTypeDecline, opt(50, c.ip.AsSlice()...), opt(54, c.w.lan.prefix.Addr().AsSlice()...)))
		c.w.saw(fleet.KindDecline, "")
	}},
	{cause: "address", what: "refused", reached: fleet.StageFirmware, detail: "not in the network", act: func(c *client) {
		c.discover(uefi...)
		c.say(c.packet(dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{opt(50, 172, 16, 0, 7)}, uefi...)...))
		c.w.saw(fleet.KindNak, "")
	}},
	{cause: "architecture", what: "in no table", reached: fleet.StageFirmware, detail: "architecture 99", cure: "netboot.firmware", act: func(c *client) {
		c.discover(text(60, "PXEClient:Arch:00099:UNDI:003016"), opt(93, 0, 99))
	}},
	{cause: "architecture", what: "no loader for it", reached: fleet.StageDHCP, detail: "ARM 64-bit UEFI", cure: "netboot.firmware", act: func(c *client) {
		c.address(text(60, "PXEClient:Arch:00011:UNDI:003016"), opt(93, 0, 11))
	}},
	{cause: "architecture", what: "the wrong file", reached: fleet.StageLoader, detail: "undionly.kpxe", cure: "netboot.firmware", later: quiet, act: func(c *client) {
		c.address(uefi...)
		c.file = strings.ReplaceAll(c.file, "snponly.efi", "undionly.kpxe") // as a foreign option 67 has it
		c.loader()
	}},
	{cause: "missing-file", what: "by TFTP", reached: fleet.StageDHCP, detail: "pxelinux.0", cure: "option 67", act: func(c *client) {
		c.address(uefi...)
		if _, err := c.tftp("pxelinux.0", 0); err == nil {
			c.w.t.Error("a file that is not there was sent")
		}
	}},
	{cause: "missing-file", what: "by HTTP", reached: fleet.StageLoader, detail: "boot.php", act: func(c *client) {
		c.address(uefi...).loader().ipxe()
		if status, _ := c.get(strings.Replace(c.hello, "boot.ipxe", "boot.php", 1), 0); status != http.StatusNotFound {
			c.w.t.Errorf("status %d", status)
		}
	}},
	{cause: "no-loader", reached: fleet.StageDHCP, later: quiet, cure: "UDP port 69", act: func(c *client) { c.address(uefi...) }},
	{cause: "transfer", what: "the firmware gave up the loader", reached: fleet.StageDHCP, detail: "no memory", cure: "MTU", act: func(c *client) {
		c.address(uefi...)
		c.tftp(c.file, 30<<10)
		c.w.saw(fleet.KindTFTPAbort, "")
	}},
	{cause: "transfer", what: "the file became shorter", reached: fleet.StageScript, detail: "initrd", change: func(s *setup) { os.Truncate(s.file("initrd"), 64<<20) }, act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks()
		resp, err := c.http().Get(c.initrd)
		ok(c.w.t, err)
		defer resp.Body.Close()
		io.ReadFull(resp.Body, make([]byte, 100<<10))
		ok(c.w.t, os.Truncate(c.w.setup.file("initrd"), 1<<20)) // what nobody should do to a file that is served
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			c.w.t.Errorf("%d bytes of a file that was cut pass for the whole", n)
		}
		c.w.saw(fleet.KindHTTPAbort, "initrd")
	}},
	{cause: "transfer", what: "it left in the middle", reached: fleet.StageScript, detail: "initrd", cure: "cable", act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks()
		c.w.slow(c.initrd)
		c.w.saw(fleet.KindHTTPAbort, "initrd")
	}},
	{cause: "redirect", reached: fleet.StageLoader, detail: "proxy", cure: "take the proxy out of the way", act: func(c *client) {
		c.address(uefi...).loader().ipxe()
		status, _ := c.get(strings.Replace(c.hello, "/b/", "/mirror/b/", 1), 0)
		if status != http.StatusNotFound {
			c.w.t.Errorf("a path that a proxy rewrote: status %d", status)
		}
	}},
	{cause: "secure-boot", reached: fleet.StageLoader, later: quiet, detail: "UEFI", cure: "Secure Boot off", act: func(c *client) { c.address(uefi...).loader() }},
	{cause: "loader-hangs", reached: fleet.StageLoader, later: quiet, cure: "drivers", act: func(c *client) { c.address(bios...).loader() }},
	{cause: "token", what: "another client's", reached: fleet.StageLoader, detail: "another", cure: "power-cycle", act: func(c *client) {
		c.address(uefi...).loader().ipxe()
		thief := c.w.clientOf("52:54:00:00:01:01")
		thief.discover(system...).request(system...)
		if status, _ := thief.get(c.hello, 0); status != http.StatusForbidden {
			c.w.t.Errorf("another client gets status %d", status)
		}
	}},
	{cause: "menu", netboot: "{mode: ram, menu: 5s}", reached: fleet.StageScript, later: quiet, cure: "look at its screen", act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks()
	}},
	{cause: "memory", what: "the loader knows", reached: fleet.StageScript, detail: "has 128 MB of memory and needs 256 MB", cure: "more memory", act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks("mem=128")
		if c.kernel != "" {
			c.w.t.Errorf("a machine that is too small gets a kernel: %s", c.script)
		}
	}},
	{cause: "no-initrd", reached: fleet.StageKernel, later: quiet, cure: "too little memory for the initrd", act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks().fetches(c.kernel)
	}},
	{cause: "no-phone-home", reached: fleet.StageInitrd, later: quiet, cure: "look at its console", act: func(c *client) { c.boots() }},
	{cause: "panic", reached: fleet.StageNetwork, detail: "not syncing", cure: "last lines of its console", act: func(c *client) {
		c.boots().address(system...).syslog("<0>Jan  1 00:00:00 machine kernel: Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")
	}},
	{cause: "firmware", reached: fleet.StageNetwork, detail: "rtl8168h", cure: "firmware-realtek", act: func(c *client) {
		c.boots().address(system...).syslog("<4>Jan  1 00:00:00 machine kernel: r8169 0000:01:00.0: Direct firmware load for rtl_nic/rtl8168h-2.fw failed with error -2")
	}},
	{cause: "no-network", netboot: small, reached: fleet.StageInit, later: quiet, cure: "compare network", act: func(c *client) { c.boots().order() }},
	{cause: "no-login", reached: fleet.StageNetwork, later: quiet, cure: "list-jobs", act: func(c *client) { c.boots().address(system...) }},
	{cause: "unproven", reached: fleet.StageLogin, later: quiet, cure: "its page", act: func(c *client) {
		c.boots().address(system...).proves(node.Report{Stage: fleet.StageLogin, Text: "its init reached its goal"})
	}},
	{cause: "probe", reached: fleet.StageLogin, detail: "page: got status 502", cure: "the probe", act: func(c *client) {
		c.boots().address(system...).proves(node.Report{Stage: fleet.StageLogin}).proves(node.Report{Probe: "ssh"}).proves(node.Report{Probe: "page", Problem: "got status 502"})
	}},
	{cause: "memory", what: "its root does not fit", netboot: small, reached: fleet.StageInit, detail: "are free", cure: "more memory", act: func(c *client) {
		c.boots().order().reports(node.Report{Problem: "node1 needs 900 MiB of memory to be fetched, and 400 MiB are free", Fields: map[string]string{fleet.FieldCause: "memory"}})
	}},
	{cause: "installer", netboot: installing, reached: fleet.StageInstall, detail: "at 4096", cure: "slipway reinstall node1", act: func(c *client) {
		c.boots().order().reports(node.Report{Stage: fleet.StageInstall, Total: 100}).reports(node.Report{Stage: fleet.StageInstall, Problem: "the disk gave an error at 4096"})
	}},
	{cause: "install-stalled", netboot: installing, reached: fleet.StageInstall, later: quiet, cure: "the grant is still in use", act: func(c *client) {
		c.boots().order().reports(node.Report{Stage: fleet.StageInstall, Total: 100})
	}},
	{cause: "corrupt", netboot: small, reached: fleet.StageInit, detail: "not those that were signed", cure: "slipway build", act: func(c *client) {
		c.boots().order().reports(node.Report{Problem: "the root at offset 4096: its bytes are not those that were signed", Fields: map[string]string{fleet.FieldCause: fleet.CauseCorrupt}})
	}},
	{cause: "key", netboot: small, reached: fleet.StageInit, detail: "not signed with the key", cure: "slipway stick", act: func(c *client) {
		c.boots().order().reports(node.Report{Problem: "the order is not signed with the key that this system was started with", Fields: map[string]string{fleet.FieldCause: fleet.CauseKey}})
	}},
	{cause: "disk", netboot: installing, reached: fleet.StageInstall, detail: "serial:TARGET", cure: "netboot.disk", act: func(c *client) {
		c.boots().order().reports(node.Report{Stage: fleet.StageInstall, Problem: "no disk is serial:TARGET (netboot.disk); it has: sda 102400 MiB serial:OTHER", Fields: map[string]string{fleet.FieldCause: fleet.CauseDisk}})
	}},
	{cause: "state", netboot: small, reached: fleet.StageInit, detail: "is not empty", cure: "netboot.disk", act: func(c *client) {
		c.boots().order().reports(node.Report{Problem: "/dev/sda, 100 GiB, is not empty, and does not hold the state of node1", Fields: map[string]string{fleet.FieldCause: fleet.CauseState}})
	}},
	{cause: "busy", reached: fleet.StageScript, detail: "too many", cure: "by itself", act: func(c *client) {
		c.address(uefi...).loader().ipxe().asks()
		for range 257 {
			conn, err := c.dial("tcp", netip.AddrPortFrom(c.w.lan.prefix.Addr(), 80).String())
			ok(c.w.t, err)
			defer conn.Close()
		}
		c.w.saw(fleet.KindHTTPBusy, "")
	}},
	{cause: "problem", netboot: small, reached: fleet.StageInit, detail: "a new thing", cure: "--events node1", act: func(c *client) {
		c.boots().order().reports(node.Report{Problem: "a new thing"})
	}},
}

// TestCauses plays each fault against servers of its own, and asks why.
func TestCauses(t *testing.T) {
	played := map[string]bool{}
	for _, p := range plays {
		played[p.cause] = true
		t.Run(strings.ReplaceAll(p.cause+" "+p.what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			p.run(t)
		})
	}
	for _, c := range fleet.Causes {
		if !played[c.Name] {
			t.Errorf("no play makes the cause %s happen", c.Name)
		}
	}
}

func (p *play) run(t *testing.T) {
	if p.netboot == "" {
		p.netboot = ram
	}
	w := newWorld(t, p.netboot, append([]func(*setup){}, p.changes()...)...)
	c := w.client()
	p.act(c)
	a := w.why(t, c.mac.String(), p.later)
	for end := time.Now().Add(soon); !p.right(a) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		a = w.why(t, c.mac.String(), p.later) // an answer may be sent before it is recorded
	}
	if !p.right(a) {
		t.Errorf("got %+v\nwant cause %q, stage %q, seen %q, cure %q", a, p.cause, p.reached, p.detail, p.cure)
	}
	if a.State != fleet.StateStuck && a.State != fleet.StateNever || a.Text == "" {
		t.Errorf("state %q, text %q", a.State, a.Text)
	}
	if fleet.Rank(p.reached) < fleet.Rank(fleet.StageScript) {
		return // firmware that asks again may be in the same power-on
	}
	// Switched on again it is on its way: an old fault is not told any more.
	again := w.clientOf(c.mac.String())
	again.xid = 100
	again.discover(uefi...)
	if a := w.why(t, c.mac.String(), 0); a.State != fleet.StateWaiting {
		t.Errorf("after the next power-on the old fault is still told: %+v", a)
	}
}

func (p *play) right(a fleet.Answer) bool {
	return a.Cause == p.cause && a.Reached == p.reached && strings.Contains(a.Detail, p.detail) && strings.Contains(a.Cure, p.cure)
}

func (p *play) changes() []func(*setup) {
	if p.change == nil {
		return nil
	}
	return []func(*setup){p.change}
}

// offers has another DHCP server offer an address.
func (c *client) offers(server netip.Addr) *dhcpv4.DHCPv4 {
	c.w.t.Helper()
	p := c.packet(dhcpv4.MessageTypeOffer, opt(54, server.AsSlice()...), opt(51, 0, 0, 2, 0))
	p.OpCode = dhcpv4.OpcodeBootReply
	p.YourIPAddr = c.w.lan.addr(200).AsSlice()
	c.w.lan.transmit(net.HardwareAddr{2, 0, 0, 0, 0, 9}, everybody, netip.AddrPortFrom(server, 67), netip.MustParseAddrPort("255.255.255.255:68"), p.ToBytes())
	return p
}

// overrides takes an offer.
func (c *client) overrides(offer *dhcpv4.DHCPv4, mods ...dhcpv4.Modifier) {
	c.w.t.Helper()
	c.say(c.packet(dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{opt(50, offer.YourIPAddr.To4()...), opt(54, offer.Options[54]...)}, mods...)...))
}

// slow begins to fetch a file and closes the line before its end.
func (w *world) slow(url string) {
	w.t.Helper()
	c := w.client()
	c.ip = w.lan.addr(50)
	conn, err := c.dial("tcp", netip.AddrPortFrom(w.lan.prefix.Addr(), 80).String())
	ok(w.t, err)
	conn.Write([]byte("GET " + strings.TrimPrefix(url, "http://"+w.lan.prefix.Addr().String()) + " HTTP/1.1\r\nHost: server\r\n\r\n"))
	io.ReadFull(conn, make([]byte, 100<<10))
	conn.Close()
}
