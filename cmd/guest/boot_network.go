package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// network gives the cards that the host names their addresses, before init
// starts. What the machine's own software does with them later is its business.
func (b *booter) network() error {
	if len(b.host.Network) == 0 {
		return nil
	}
	r, err := openRoutes()
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.up(1, "", 0); err != nil { // the loopback is always the first
		return fmt.Errorf("setting up the loopback: %w", err)
	}
	for _, n := range b.host.Network {
		if err := b.configureCard(r, n); err != nil {
			return fmt.Errorf("setting up the network card %s: %w", n.MAC, err)
		}
	}
	return nil
}

func (b *booter) configureCard(r *routes, n wire.Interface) error {
	index, err := b.awaitCard(n.MAC)
	if err != nil {
		return err
	}
	if err := r.up(index, n.Name, n.MTU); err != nil {
		return err
	}
	for _, text := range n.Addresses {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		if err := r.address(index, prefix); err != nil {
			return fmt.Errorf("address %s: %w", text, err)
		}
	}
	for _, text := range n.Gateways {
		gateway, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := r.defaultRoute(index, gateway); err != nil {
			return fmt.Errorf("gateway %s: %w", text, err)
		}
	}
	return nil
}

// awaitCard waits for the card with an address and gives its index.
func (b *booter) awaitCard(mac string) (int, error) {
	var there []string
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); b.follow(20 * time.Millisecond) {
		files, _ := filepath.Glob("/sys/class/net/*/address")
		there = nil
		for _, file := range files {
			data, err := os.ReadFile(file)
			found := strings.TrimSpace(string(data))
			if err == nil && strings.EqualFold(found, mac) {
				return int(readNumber(filepath.Dir(file) + "/ifindex")), nil
			}
			there = append(there, filepath.Base(filepath.Dir(file))+" "+found)
		}
	}
	return 0, fmt.Errorf("there is no such card; there are: %s", strings.Join(there, ", "))
}

// routes is a netlink connection to the kernel's network configuration:
// rtnetlink(7).
type routes struct {
	fd  int
	seq uint32
}

func openRoutes() (*routes, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening the network configuration: %w", err)
	}
	return &routes{fd: fd}, nil
}

func (r *routes) close() { unix.Close(r.fd) }

// up switches a card on, under another name if one is given.
func (r *routes) up(index int, name string, mtu int) error {
	m := newMessage(unix.RTM_NEWLINK, 0)
	m.bytes(unix.AF_UNSPEC, 0)
	m.u16(0)
	m.u32(uint32(index))
	m.u32(0)
	m.u32(0)
	if name != "" {
		m.attr(unix.IFLA_IFNAME, append([]byte(name), 0))
	}
	if mtu > 0 {
		m.attr(unix.IFLA_MTU, order.AppendUint32(nil, uint32(mtu)))
	}
	if err := r.do(m); err != nil { // a name can change only while the card is down
		return err
	}
	m = newMessage(unix.RTM_NEWLINK, 0)
	m.bytes(unix.AF_UNSPEC, 0)
	m.u16(0)
	m.u32(uint32(index))
	m.u32(unix.IFF_UP)
	m.u32(unix.IFF_UP)
	return r.do(m)
}

func (r *routes) address(index int, p netip.Prefix) error {
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	// Duplicate address detection would delay the address by a second.
	m.bytes(family(p.Addr()), byte(p.Bits()), unix.IFA_F_PERMANENT|unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE)
	m.u32(uint32(index))
	m.attr(unix.IFA_LOCAL, p.Addr().AsSlice())
	m.attr(unix.IFA_ADDRESS, p.Addr().AsSlice())
	return r.do(m)
}

func (r *routes) defaultRoute(index int, gateway netip.Addr) error {
	m := newMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m.bytes(family(gateway), 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
	m.u32(unix.RTNH_F_ONLINK)
	m.attr(unix.RTA_GATEWAY, gateway.AsSlice())
	m.attr(unix.RTA_OIF, order.AppendUint32(nil, uint32(index)))
	return r.do(m)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
