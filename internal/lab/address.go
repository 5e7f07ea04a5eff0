package lab

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"path/filepath"
)

// Subnets are the lab's networks.
type Subnets struct {
	IPv4 netip.Prefix // 10.x.y.0/24
	IPv6 netip.Prefix // fdxx:xxxx:xxxx::/64 (RFC 4193)
}

// Gateway4 and Gateway6 are the bridge's own addresses: the name server, and
// the host as machines see it.
func (s Subnets) Gateway4() netip.Addr { return s.host4(1) }

// Gateway6 is the bridge's IPv6 address.
func (s Subnets) Gateway6() netip.Addr { return s.host6(1) }

func (s Subnets) host4(n uint8) netip.Addr {
	a := s.IPv4.Addr().As4()
	a[3] = n
	return netip.AddrFrom4(a)
}

func (s Subnets) host6(n uint8) netip.Addr {
	a := s.IPv6.Addr().As16()
	a[15] = n
	return netip.AddrFrom16(a)
}

// chooseSubnets picks networks for seed (stable for one user of one machine)
// that overlap with none of taken. For IPv4 it walks the 10.64.0.0/10 part of
// the private range, which home routers and VPNs use less than its ends.
func chooseSubnets(seed string, taken []netip.Prefix) (Subnets, error) {
	sum := sha256.Sum256([]byte("slipway lab " + seed))
	start := binary.BigEndian.Uint32(sum[:])
	const count = 64 * 256
	for i := range uint32(count) {
		n := (start + i) % count
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + n/256), byte(n), 0}), 24)
		if !overlapsAny(p, taken) {
			return Subnets{IPv4: p, IPv6: uniqueLocal(sum[4:9])}, nil
		}
	}
	return Subnets{}, fmt.Errorf("choosing a subnet for the lab: the host has routes to all of 10.64.0.0/10")
}

func overlapsAny(p netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if t.Bits() > 0 && t.Overlaps(p) { // a default route overlaps with all
			return true
		}
	}
	return false
}

// uniqueLocal makes a /64 of five hashed bytes (the Global ID of RFC 4193).
func uniqueLocal(id []byte) netip.Prefix {
	var a [16]byte
	a[0] = 0xfd
	copy(a[1:6], id)
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// Address is what a name has in the lab.
type Address struct {
	IPv4, IPv6 netip.Addr
	MAC        net.HardwareAddr
}

// macOf derives a locally administered, unicast hardware address from a name.
func macOf(name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("slipway mac " + name))
	return net.HardwareAddr{0x52, 0x53, sum[0], sum[1], sum[2], sum[3]}
}

// The host numbers given to names; 1 is the bridge.
const (
	firstHost = 2
	hostCount = 253
)

// Allocate gives the address of a name, the same every time while the lab
// lives, and nearly always the same in the next one: the number is a hash of
// the name, and the next free one when that is taken.
func (l *Lab) Allocate(ctx context.Context, name string) (Address, error) {
	lock, err := lockFile(ctx, filepath.Join(l.dir, "alloc.lock"))
	if err != nil {
		return Address{}, fmt.Errorf("allocating an address for %s: %w", name, err)
	}
	defer lock.Close()
	path := filepath.Join(l.dir, "alloc.json")
	names := map[string]uint8{}
	readJSON(path, &names) // a missing or torn file is an empty one: live machines keep their records
	for _, m := range l.Machines() {
		names[m.Name] = m.Number
	}
	n, isNew, err := pick(names, name, l.isLive)
	if err != nil {
		return Address{}, err
	}
	if isNew {
		if err := writeJSON(path, names); err != nil {
			return Address{}, fmt.Errorf("allocating an address for %s: %w", name, err)
		}
	}
	return l.address(name, n), nil
}

func (l *Lab) address(name string, n uint8) Address {
	return Address{IPv4: l.Subnets.host4(n), IPv6: l.Subnets.host6(n), MAC: macOf(name)}
}

// pick finds the number of name in names or adds one. When all are taken it
// takes one from a name that is not live.
func pick(names map[string]uint8, name string, live func(string) bool) (n uint8, isNew bool, err error) {
	if n, ok := names[name]; ok {
		return n, false, nil
	}
	owner := map[uint8]string{}
	for other, n := range names {
		owner[n] = other
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	start := h.Sum32()
	for _, evict := range []bool{false, true} {
		for i := range uint32(hostCount) {
			n := uint8(firstHost + (start+i)%hostCount)
			other, taken := owner[n]
			if taken && (!evict || live(other)) {
				continue
			}
			delete(names, other)
			names[name] = n
			return n, true, nil
		}
	}
	return 0, false, fmt.Errorf("allocating an address for %s: all %d addresses of the lab are in use", name, hostCount)
}
