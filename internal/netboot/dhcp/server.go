package dhcp

import (
	"net"
	"net/netip"
	"time"

	"slipway/internal/fleet"
)

// Mode says how much of DHCP the server is.
type Mode int

const (
	// Full gives addresses and boot answers.
	Full Mode = iota
	// Proxy adds boot answers to the addresses of a foreign server.
	Proxy
)

// Server is one DHCP server on some links. Its fields are set before Serve and
// not changed after.
type Server struct {
	Mode    Mode
	Links   []Link
	Subnets []Subnet // Full only
	Policy  Policy
	Events  fleet.Sink // nil: nobody listens
	Leases  *Leases    // Full only; nil: leases are lost at the end
	Recipes *Recipes   // nil: what firmware understands is learned anew by every server

	// NoConflictCheck offers addresses of pools without asking the network
	// first whether somebody has them.
	NoConflictCheck bool
	// NoRivalCheck neither looks for other servers at start nor listens for
	// their offers.
	NoRivalCheck bool

	Clock Clock // zero: the system's

	state serverState
}

// Link is a network interface that the server answers on.
type Link struct {
	Name    string     // of the interface
	Address netip.Addr // the server's own address there; zero: the first of the interface

	// Conn and PXE are sockets on port 67 and 4011 that are used instead of
	// own ones, for callers that may not open any. With them there are no raw
	// frames, no conflict check and no watch of the interface.
	Conn, PXE net.PacketConn
}

// Subnet is a network that the server gives addresses of.
type Subnet struct {
	Prefix netip.Prefix
	Pools  []Range    // for clients without a reservation
	Router netip.Addr // zero: none
	DNS    []netip.Addr
	NTP    []netip.Addr
	Domain string
	Lease  time.Duration // zero: an hour
	// Server is the server's address as this subnet sees it; zero: that of
	// the link on which the packet came.
	Server  netip.Addr
	Options map[uint8][]byte // more options, sent as they are
}

// Range is a range of addresses, both ends included.
type Range struct{ First, Last netip.Addr }
