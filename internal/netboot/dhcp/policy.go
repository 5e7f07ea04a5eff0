package dhcp

import "net/netip"

// Policy decides what clients get. The server asks it for every packet that
// may be answered, from several goroutines at once; it must not wait for a
// disk or a network.
type Policy interface {
	// Decide says what the client of a request gets. The Request and all in
	// it belong to the server and are only valid during the call.
	Decide(*Request) Decision
	// Reserved says whether an address of a pool belongs to a machine, so
	// that nobody else gets it.
	Reserved(netip.Addr) bool
}

// Decision is what one client gets.
type Decision struct {
	Machine  string     // its name in the fleet, for events and leases; empty: unknown
	Ignore   bool       // no answer at all
	Address  netip.Addr // reservation; zero: an address of a pool
	NoPool   bool       // without a reservation it gets no address
	Hostname string     // option 12; empty: none
	Boot     *Boot      // nil: nothing to boot

	// Options are more options by their number, sent as they are. They win
	// over what the subnet says; those that the protocol itself needs cannot
	// be set.
	Options map[uint8][]byte
}

// Boot is what a client boots. Which field is used depends on who asks:
// firmware gets the loader, a loader gets the script.
type Boot struct {
	Server netip.Addr // TFTP server; zero: the server's own address on that link
	Name   string     // option 66; empty: the address of Server as text

	// Loader is the name of the first program, as the TFTP server knows it.
	// Empty: firmware that boots by TFTP gets nothing to boot.
	Loader string
	// LoaderURL is the same by HTTP, absolute and with a numeric address, for
	// UEFI HTTP boot and for an iPXE that has to be replaced.
	LoaderURL string
	// Script is what an iPXE gets, which is never a loader twice: an absolute
	// URL, or a name on the TFTP server. Empty: it gets nothing to boot.
	Script string

	// MinVersion is the oldest iPXE that may run the script itself; an older
	// one is replaced by Loader, once. Empty: any.
	MinVersion string
}
