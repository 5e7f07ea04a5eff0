package dhcp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Sizes of RFC 2131: the header with its magic cookie, and what every client
// takes (section 2; without the headers of IP and UDP).
const (
	headerSize = 240
	minAnswer  = 548
	maxPacket  = 4096 // larger ones are not of DHCP
)

// Options that the codec has no name for, or that are used as bytes.
const (
	opt43            = 43
	optOverload      = 52
	optMessageSize   = 57
	optClass         = 60
	optClientID      = 61
	optServerName    = 66
	optBootFile      = 67
	optUserClass     = 77
	optAgentInfo     = 82
	optArch          = 93
	optUUID          = 97
	optSubnetChoice  = 118 // RFC 3011
	fileStart        = 108
	fileEnd          = 236
	snameStart       = 44
	relayLink        = 5
	relayServer      = 11
	relayAnyPort     = 19
	relayCircuit     = 1
	relayRemote      = 2
	etherType        = 1
	maxHostname      = 63
	maxTextInEvents  = 255
	flagBroadcastBit = 0x8000
)

// decode reads a packet. b must have room for one more byte: a packet without
// an end option is taken as if it had one. What is overloaded into file and
// sname (option 52) is read too, in the order of RFC 3396, section 5.
func decode(b []byte) (*dhcpv4.DHCPv4, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%d bytes are no DHCP packet: its header alone has %d", len(b), headerSize)
	}
	if b[1] == etherType && b[2] != 6 {
		return nil, fmt.Errorf("an Ethernet address of %d bytes", b[2])
	}
	p, err := dhcpv4.FromBytes(append(b, 255))
	if err != nil {
		return nil, err
	}
	if v := p.Options[optOverload]; len(v) == 1 {
		if v[0]&1 != 0 {
			err = p.Options.FromBytes(b[fileStart:fileEnd])
			p.BootFileName = ""
		}
		if v[0]&2 != 0 && err == nil {
			err = p.Options.FromBytes(b[snameStart:fileStart])
			p.ServerHostName = ""
		}
		if err != nil {
			return nil, fmt.Errorf("options in the place of file and sname: %w", err)
		}
	}
	return p, nil
}

var errNoClient = errors.New("it has neither a hardware address nor a client identifier")

// clientName names the client: its hardware address, or its identifier where
// the hardware has none (InfiniBand, RFC 4390).
func clientName(p *dhcpv4.DHCPv4) (string, error) {
	if len(p.ClientHWAddr) > 0 && !zero(p.ClientHWAddr) {
		return p.ClientHWAddr.String(), nil
	}
	if id := p.Options[optClientID]; len(id) > 1 {
		return "id:" + hex.EncodeToString(id[:min(len(id), 32)]), nil
	}
	return "", errNoClient
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// fill reads a request's facts out of its packet.
func (r *Request) fill(p *dhcpv4.DHCPv4) error {
	client, err := clientName(p)
	if err != nil {
		return err
	}
	r.Packet, r.Client, r.Type = p, client, p.MessageType()
	r.XID = uint32(p.TransactionID[0])<<24 | uint32(p.TransactionID[1])<<16 | uint32(p.TransactionID[2])<<8 | uint32(p.TransactionID[3])
	o := p.Options
	r.VendorClass = printable(o[optClass])
	r.UserClass = userClass(o[optUserClass])
	r.Hostname = hostname(o[12])
	if v := o[optArch]; len(v) >= 2 {
		r.ArchCodes = make([]uint16, 0, len(v)/2)
		for ; len(v) >= 2; v = v[2:] {
			r.ArchCodes = append(r.ArchCodes, uint16(v[0])<<8|uint16(v[1]))
		}
	}
	r.Arch = archOf(r.ArchCodes, r.VendorClass, p.ClientHWAddr)
	if v := o[optUUID]; len(v) == 17 && v[0] == 0 {
		r.UUID, r.UUIDRaw = uuid(v[1:], true), uuid(v[1:], false)
	}
	if v, ok := o[optIPXE]; ok {
		r.IPXE = parseIPXE(v)
	}
	if r.IPXE == nil && r.UserClass == "iPXE" {
		r.IPXE = &IPXE{}
	}
	r.Kind = kindOf(r)
	r.Relay = relayOf(p)
	r.Address = firstAddress(toAddr(p.ClientIPAddr), toAddr(p.RequestedIPAddress()))
	return nil
}

func kindOf(r *Request) Kind {
	switch {
	case r.IPXE != nil:
		return KindIPXE
	case strings.HasPrefix(r.VendorClass, "HTTPClient"):
		return KindHTTP
	case strings.HasPrefix(r.VendorClass, "U-Boot") || r.Arch.Boot == "uboot":
		return KindUBoot
	case strings.HasPrefix(r.VendorClass, "PXEClient"):
		return KindPXE
	case r.VendorClass == "" && len(r.ArchCodes) > 0:
		return KindPXE // firmware that forgot its class
	}
	return KindSystem
}

// relayOf reads what relay agents added; nil: the packet came directly.
func relayOf(p *dhcpv4.DHCPv4) *Relay {
	gateway, raw := toAddr(p.GatewayIPAddr), p.Options[optAgentInfo]
	if !gateway.IsValid() && raw == nil {
		return nil
	}
	r := &Relay{Gateway: gateway, Raw: raw}
	for b := raw; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		value := b[2 : 2+int(b[1])]
		switch b[0] {
		case relayCircuit:
			r.Circuit = value
		case relayRemote:
			r.Remote = value
		case relayLink:
			r.Link = addrOf(value)
		case relayServer:
			r.Server = addrOf(value)
		case relayAnyPort:
			r.anyPort = true
		}
	}
	return r
}

// userClass reads option 77 in the encoding of RFC 3004 (lengths before each
// class) or as the bare text that iPXE sends.
func userClass(v []byte) string {
	var parts []string
	for rest := v; len(rest) > 0; rest = rest[1+int(rest[0]):] {
		if int(rest[0]) == 0 || len(rest) < 1+int(rest[0]) {
			return printable(v)
		}
		parts = append(parts, printable(rest[1:1+int(rest[0])]))
	}
	return strings.Join(parts, ",")
}

// uuid writes 16 bytes as text; mixed: the first three fields are
// little-endian, as SMBIOS keeps them.
func uuid(b []byte, mixed bool) string {
	u := [16]byte(b)
	if mixed {
		u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]
	}
	var out [36]byte
	hex.Encode(out[0:8], u[0:4])
	out[8] = '-'
	hex.Encode(out[9:13], u[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], u[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], u[8:10])
	out[23] = '-'
	hex.Encode(out[24:36], u[10:16])
	return string(out[:])
}

// printable keeps foreign text harmless: no control characters, no more than
// a line, no NULs at its end.
func printable(v []byte) string {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	v = v[:min(len(v), maxTextInEvents)]
	for _, c := range v {
		if c < ' ' || c > '~' {
			return strings.Map(func(c rune) rune {
				if c < ' ' || c > '~' {
					return '?'
				}
				return c
			}, string(v))
		}
	}
	return string(v)
}

// hostname keeps what may stand in a host's label or name.
func hostname(v []byte) string {
	name := printable(v[:min(len(v), maxHostname)])
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return ""
		}
	}
	return name
}

// toAddr converts; zero for none and for 0.0.0.0.
func toAddr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if a = a.Unmap(); !ok || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func addrOf(b []byte) netip.Addr {
	if len(b) != 4 {
		return netip.Addr{}
	}
	return toAddr(net.IP(b))
}

func firstAddress(list ...netip.Addr) netip.Addr {
	for _, a := range list {
		if a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}
