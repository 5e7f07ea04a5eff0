package dhcp

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

var (
	pxe7  = []dhcpv4.Modifier{withText(60, "PXEClient:Arch:00007:UNDI:003016"), with(93, 0, 7), with(94, 1, 3, 16), with(97, append([]byte{0}, uuidBytes...)...)}
	http7 = []dhcpv4.Modifier{withText(60, "HTTPClient:Arch:00016:UNDI:003016"), with(93, 0, 16)}
	// An iPXE of ours, with HTTP, bzImage and EFI; and one in a ROM that has
	// neither HTTP nor a kernel loader.
	ipxe    = []dhcpv4.Modifier{withText(60, "PXEClient:Arch:00007:UNDI:003010"), with(93, 0, 7), withText(77, "iPXE"), with(175, 0xeb, 3, 1, 21, 1, 0x13, 1, 1, 0x15, 1, 1, 0x24, 1, 1)}
	ipxeROM = []dhcpv4.Modifier{withText(60, "PXEClient:Arch:00000:UNDI:002001"), with(93, 0, 0), withText(77, "iPXE"), with(175, 0xeb, 3, 1, 0, 0, 0x15, 1, 1)}

	uuidBytes = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
)

func discover(mac string, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	return from(mac, dhcpv4.MessageTypeDiscover, mods...)
}

func TestFirmwareIsTold(t *testing.T) {
	b := newRig(t, nil)
	offer, _ := b.one(discover(mac1, pxe7...))
	if offer.ClassIdentifier() != "PXEClient" || offer.BootFileName != "snponly.efi" || offer.BootFileNameOption() != "snponly.efi" ||
		toAddr(offer.ServerIPAddr) != self || offer.TFTPServerName() != "10.9.0.1" || offer.ServerHostName != "10.9.0.1" {
		t.Errorf("header and options are not both filled: %s", offer.Summary())
	}
	if f := offer.Options[67]; f[len(f)-1] != 0 {
		t.Error("option 67 has no NUL behind it")
	}
	if !bytes.Equal(offer.Options[43], []byte{6, 1, 8, 255}) {
		t.Errorf("option 43 is %x, want discovery control 8", offer.Options[43])
	}
	if !bytes.Equal(offer.Options[97], append([]byte{0}, uuidBytes...)) {
		t.Error("the UUID does not come back")
	}
	r := b.policy.asked[0]
	if r.UUID != "00112233-4455-6677-8899-aabbccddeeff" || r.UUIDRaw != "33221100-5544-7766-8899-aabbccddeeff" || r.Server != self {
		t.Errorf("the policy is asked about %+v", r)
	}
	e := b.events.of("dhcp.discover")[0]
	if e.Stage != fleet.StageFirmware || e.Fields["arch"] != "x64 UEFI" || e.Fields["vendor_class"] != "PXEClient:Arch:00007:UNDI:003016" {
		t.Errorf("event %+v", e)
	}
	if e := b.events.of("dhcp.offer")[0]; e.Fields["file"] != "snponly.efi" || e.Fields["recipe"] != "direct" || e.Stage != "" {
		t.Errorf("event %+v", e)
	}
	// UEFI HTTP boot: the URL, and its own class.
	offer, _ = b.one(discover(mac2, http7...))
	if offer.ClassIdentifier() != "HTTPClient" || string(offer.Options[67]) != boot.LoaderURL || offer.Options[43] != nil {
		t.Errorf("HTTP boot: %s", offer.Summary())
	}
	// An operating system gets nothing to boot.
	offer, _ = b.one(discover("52:54:00:00:00:03", withText(60, "systemd")))
	if offer.BootFileName != "" || offer.Options[67] != nil || offer.Options[60] != nil {
		t.Errorf("a system: %s", offer.Summary())
	}
	// Firmware without options 93, 94 and 97.
	offer, _ = b.one(discover("52:54:00:00:00:04", withText(60, "PXEClient")))
	if offer.BootFileName != "snponly.efi" || b.policy.asked[len(b.policy.asked)-1].Arch.Boot != "bios" {
		t.Errorf("old firmware: %s", offer.Summary())
	}
	// A machine that has nothing to boot is not held up: no class, no file.
	b.policy.machines["52:54:00:00:00:06"] = Decision{}
	offer, _ = b.one(discover("52:54:00:00:00:06", pxe7...))
	if offer.Options[60] != nil || offer.Options[43] != nil || offer.BootFileName != "" || !toAddr(offer.YourIPAddr).IsValid() {
		t.Errorf("nothing to boot: %s", offer.Summary())
	}
	// U-Boot reads the header only.
	offer, _ = b.one(discover("52:54:00:00:00:05", withText(60, "U-Boot.armv8"), with(93, 0, 22)))
	if offer.BootFileName != "snponly.efi" || toAddr(offer.ServerIPAddr) != self || offer.Options[43] != nil {
		t.Errorf("U-Boot: %s", offer.Summary())
	}
	// A Raspberry Pi says that it is a BIOS.
	offer, _ = b.one(discover("dc:a6:32:00:00:01", withText(60, "PXEClient:Arch:00000:UNDI:002001"), with(93, 0, 0)))
	if r := b.policy.asked[len(b.policy.asked)-1]; r.Arch.Code != 41 || !bytes.Contains(offer.Options[43], []byte("Raspberry Pi Boot")) {
		t.Errorf("Raspberry Pi: arch %v, option 43 %q", r.Arch, offer.Options[43])
	}
}

func TestUnknownArchitectureIsAnsweredAndSaid(t *testing.T) {
	b := newRig(t, nil)
	offer, _ := b.one(discover(mac1, withText(60, "PXEClient:Arch:00077:UNDI:003016"), with(93, 0, 77)))
	if !toAddr(offer.YourIPAddr).IsValid() {
		t.Error("it gets no address")
	}
	has(t, b.events.of("dhcp.discover"), "its architecture 77 is in no table")
	// The first known one of several counts.
	b.one(discover(mac2, withText(60, "PXEClient"), with(93, 0, 77, 0, 11)))
	if r := b.policy.asked[len(b.policy.asked)-1]; r.Arch.Code != 11 {
		t.Errorf("of 77 and 11 it takes %d", r.Arch.Code)
	}
}

func TestArchitectureTable(t *testing.T) {
	for i, a := range Architectures() {
		if int(a.Code) != i || a.Name == "" || !a.Known {
			t.Errorf("row %d is %+v", i, a)
		}
		if a.HTTP && !strings.Contains(a.Name, "HTTP") {
			t.Errorf("%+v", a)
		}
	}
	if LookupArch(7).CPU != "amd64" || LookupArch(9).CPU != "amd64" || LookupArch(11).Boot != "uefi" || LookupArch(500).Known {
		t.Error("wrong rows")
	}
}

func TestIPXE(t *testing.T) {
	b := newRig(t, nil)
	b.state.asked = true // nobody else was heard at start
	offer, _ := b.one(discover(mac1, ipxe...))
	if offer.BootFileName != boot.Script || !bytes.Equal(offer.Options[175], []byte{176, 1, 1}) {
		t.Errorf("iPXE gets %q and %x, want the script and no wait for a proxy", offer.BootFileName, offer.Options[175])
	}
	r := b.policy.asked[0]
	if r.Kind != KindIPXE || r.IPXE.Version != "1.21.1" || !r.IPXE.Has("http") || r.IPXE.Has("nfs") {
		t.Errorf("read %+v", r.IPXE)
	}
	if e := b.events.of("dhcp.discover")[0]; e.Fields["ipxe_version"] != "1.21.1" || e.Fields["ipxe_features"] != "http,tftp,efi" {
		t.Errorf("event %+v", e)
	}
	// With another server about, the wait for its proxy is not taken away.
	b.rival(b.work(), b.link, addr("10.9.0.7"), "", "test")
	offer, _ = b.one(discover(mac1, ipxe...))
	if offer.Options[175] != nil {
		t.Error("no-pxedhcp is sent although another server was heard")
	}
	// User class in the encoding of RFC 3004, without option 175.
	b.one(discover(mac2, with(77, 4, 'i', 'P', 'X', 'E')))
	if r := b.policy.asked[len(b.policy.asked)-1]; r.Kind != KindIPXE {
		t.Errorf("kind %q", r.Kind)
	}
}

// An iPXE never gets a loader twice, whatever it says of itself.
func TestNoCircleOfLoaders(t *testing.T) {
	b := newRig(t, nil)
	files := []string{}
	for range 4 {
		offer, _ := b.one(discover(mac1, ipxeROM...))
		files = append(files, offer.BootFileName)
	}
	if want := []string{"tftp://10.9.0.1/snponly.efi", boot.Script, boot.Script, boot.Script}; fmt.Sprint(files) != fmt.Sprint(want) {
		t.Errorf("an iPXE that lacks HTTP gets %q, want %q", files, want)
	}
	has(t, b.events.of("dhcp.offer"), "was replaced a moment ago and yet it has no HTTP")
	// When the new one has come, the ROM may be replaced at the next start.
	b.one(discover(mac1, ipxe...))
	if offer, _ := b.one(discover(mac1, ipxeROM...)); offer.BootFileName != files[0] {
		t.Errorf("at the next start it gets %q", offer.BootFileName)
	}
	// An old version is replaced once, by HTTP as it can.
	old := *boot
	old.MinVersion = "1.22"
	b.policy.others = Decision{Boot: &old}
	first, _ := b.one(discover(mac2, ipxe...))
	second, _ := b.one(discover(mac2, ipxe...))
	if first.BootFileName != boot.LoaderURL || second.BootFileName != boot.Script {
		t.Errorf("an old iPXE gets %q, then %q", first.BootFileName, second.BootFileName)
	}
}

// firmware is a client that understands one recipe only.
type firmware struct {
	takes func(offer *dhcpv4.DHCPv4, ask func() *dhcpv4.DHCPv4) bool
}

var picky = map[Recipe]firmware{
	// It wants all in the offer, and never asks a boot server.
	RecipeDirect: {func(o *dhcpv4.DHCPv4, _ func() *dhcpv4.DHCPv4) bool {
		return o.ClassIdentifier() == "PXEClient" && bytes.HasPrefix(o.Options[43], []byte{6, 1, 8}) && o.BootFileName != ""
	}},
	// It looks for a boot server, and is confused by option 43.
	RecipeServer: {func(o *dhcpv4.DHCPv4, ask func() *dhcpv4.DHCPv4) bool {
		if o.ClassIdentifier() != "PXEClient" || o.Options[43] != nil || o.BootFileName != "" {
			return false
		}
		ack := ask()
		return ack != nil && ack.BootFileName != "" && ack.ClassIdentifier() == "PXEClient"
	}},
	// It knows no vendor class.
	RecipeHeader: {func(o *dhcpv4.DHCPv4, _ func() *dhcpv4.DHCPv4) bool {
		return o.Options[60] == nil && o.Options[43] == nil && o.BootFileName != "" && toAddr(o.ServerIPAddr).IsValid()
	}},
}

// Every firmware boots within the four questions that it asks, and the next of
// its make at once, also after a restart.
func TestPickyFirmware(t *testing.T) {
	for _, mode := range []Mode{Full, Proxy} {
		for name, fw := range picky {
			t.Run(fmt.Sprintf("%s/%d", name, mode), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "recipes")
				recipes, err := OpenRecipes(path)
				if err != nil {
					t.Fatal(err)
				}
				b := newRig(t, func(s *Server) { s.Mode, s.Recipes = mode, recipes })
				if tries := b.powerOn(mac1, fw); tries == 0 || tries > 4 {
					t.Fatalf("it did not boot in four tries: %d", tries)
				}
				b.Loaded(mac1)
				recipes, err = OpenRecipes(path)
				if err != nil {
					t.Fatal(err)
				}
				b = newRig(t, func(s *Server) { s.Mode, s.Recipes = mode, recipes })
				if tries := b.powerOn(mac2, fw); tries != 1 {
					t.Errorf("the next of its make needs %d tries, want 1: %v", tries, recipes.Known())
				}
			})
		}
	}
}

// powerOn asks as firmware does; it returns how often, 0 when nothing helped.
func (b *rig) powerOn(mac string, fw firmware) int {
	for try := 1; try <= 4; try++ {
		offer, _ := b.one(discover(mac, pxe7...))
		if b.Mode == Proxy && (toAddr(offer.YourIPAddr).IsValid() || offer.Options[51] != nil) {
			b.t.Fatalf("a proxy offers an address: %s", offer.Summary())
		}
		if fw.takes(offer, func() *dhcpv4.DHCPv4 { return b.bootRequest(mac) }) {
			return try
		}
		b.clock.pass(time.Duration(try) * 4 * time.Second)
	}
	return 0
}

// bootRequest asks on port 4011.
func (b *rig) bootRequest(mac string) *dhcpv4.DHCPv4 {
	p := from(mac, dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{ciaddr("10.9.0.77")}, pxe7...)...)
	out := b.put(bootPort, "10.9.0.77:68", p.ToBytes())
	if len(out) != 1 || out[0].to.String() != "10.9.0.77:68" || out[0].port != bootPort {
		b.t.Fatalf("port 4011: %+v", out)
	}
	ack := read(b.t, out[0].data)
	if ack.MessageType() != dhcpv4.MessageTypeAck || toAddr(ack.YourIPAddr).IsValid() {
		b.t.Fatalf("port 4011: %s", ack.Summary())
	}
	return ack
}

// That the loader comes back as iPXE is proof too: no need of the TFTP server.
func TestLoaderIsProof(t *testing.T) {
	b := newRig(t, nil)
	b.one(discover(mac1, pxe7...))
	b.one(discover(mac1, pxe7...)) // "direct" did not work
	b.one(discover(mac1, ipxe...))
	for _, v := range b.Recipes.Known() {
		if v != RecipeServer {
			t.Errorf("learned %q", v)
		}
	}
	if len(b.events.of("dhcp.recipe")) != 1 {
		t.Error("it is not said what was learned")
	}
	if e := b.events.of("dhcp.discover"); e[2].Stage != fleet.StageLoader {
		t.Errorf("iPXE after firmware is evidence of %q, want of the loader", e[2].Stage)
	}
}

func TestProxyKeepsOut(t *testing.T) {
	b := newRig(t, func(s *Server) { s.Mode = Proxy })
	b.none(discover(mac1)) // no wish to boot
	b.none(from(mac1, dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{withIP(50, "10.9.0.50"), withIP(54, "10.9.0.2")}, pxe7...)...))
	b.none(from(mac1, dhcpv4.MessageTypeRequest, append([]dhcpv4.Modifier{ciaddr("10.9.0.50")}, pxe7...)...))
	offer, _ := b.one(discover(mac1, http7...))
	if toAddr(offer.YourIPAddr).IsValid() || string(offer.Options[67]) != boot.LoaderURL || offer.Options[1] != nil {
		t.Errorf("HTTP boot by a proxy: %s", offer.Summary())
	}
	offer, _ = b.one(discover(mac1, ipxe...))
	if offer.BootFileName != boot.Script || offer.Options[175] != nil {
		t.Errorf("iPXE by a proxy: %s", offer.Summary())
	}
	b.policy.others = Decision{}
	b.none(discover(mac2, pxe7...))
	if out := b.put(bootPort, "10.9.0.77:68", from(mac2, dhcpv4.MessageTypeRequest, pxe7...).ToBytes()); len(out) != 0 {
		t.Error("port 4011 answers a machine that has nothing to boot")
	}
}
