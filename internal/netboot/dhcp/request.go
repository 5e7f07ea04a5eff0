package dhcp

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Kind is who speaks: it decides which form of answer is understood.
type Kind string

// Kinds of clients.
const (
	KindSystem Kind = "system" // an operating system: no wish to boot
	KindPXE    Kind = "pxe"    // firmware that boots by TFTP (vendor class PXEClient)
	KindHTTP   Kind = "http"   // firmware that boots by HTTP (vendor class HTTPClient)
	KindIPXE   Kind = "ipxe"   // iPXE, of ours or in a ROM
	KindUBoot  Kind = "uboot"  // U-Boot: reads the header only
)

// Request is what a packet says, in the words of a policy.
type Request struct {
	Time   time.Time
	Link   string // interface
	Port   int    // 67, or 4011 for a boot server request
	Type   dhcpv4.MessageType
	Kind   Kind
	XID    uint32
	Client string     // hardware address, lower case with colons
	Server netip.Addr // the server's own address that this client can reach: URLs name it

	// UUID is option 97 as SMBIOS tools print it (first three fields
	// little-endian), UUIDRaw in the order of the packet; some firmware sends
	// one, some the other. Empty: none was sent.
	UUID    string
	UUIDRaw string

	Arch        Arch     // row of the architecture table, Arch.Known tells whether there is one
	ArchCodes   []uint16 // option 93 as sent; nil: none
	VendorClass string   // option 60
	UserClass   string   // option 77, in either encoding
	Hostname    string   // option 12, what the client calls itself

	IPXE  *IPXE  // what an iPXE says of itself; nil: it is none
	Relay *Relay // nil: heard directly

	// Address is what the client has or asks for: its own (ciaddr), the
	// requested one (option 50), or its lease. Zero: none.
	Address netip.Addr

	Packet *dhcpv4.DHCPv4 // all of it
}

// Relay is what relay agents added (RFC 3046).
type Relay struct {
	Gateway netip.Addr // giaddr
	Circuit []byte     // sub-option 1: switch port
	Remote  []byte     // sub-option 2: the switch, or the client as it knows it
	Link    netip.Addr // sub-option 5, RFC 3527: subnet to choose from; zero: Gateway
	Server  netip.Addr // sub-option 11, RFC 5107: the server that the client is told of
	Raw     []byte     // option 82 as it came; nil: none
	anyPort bool       // sub-option 19, RFC 8357: answers go to the port it sent from
}
