package vm

import (
	"context"
	"net"
	"net/netip"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/lab"
	"slipway/internal/target/supervisor"

	"github.com/vishvananda/netlink"
)

// interfaces is what the guest helper sets up: the card in the lab, unless the
// definition says how the machine gets its addresses.
func (b *body) interfaces(a *supervisor.Attachment) []wire.Interface {
	if a.Link == nil || len(b.Spec.Definition.Network) > 0 {
		return nil
	}
	subnets := a.Lab.Subnets
	card := wire.Interface{MAC: a.Link.MAC, Addresses: []string{
		netip.PrefixFrom(a.Link.IPv4, subnets.IPv4.Bits()).String(),
		netip.PrefixFrom(a.Link.IPv6, subnets.IPv6.Bits()).String(),
	}}
	if a.Link.Outside {
		card.Gateways = []string{subnets.Gateway4().String()}
	}
	return []wire.Interface{card}
}

// forgetNeighbour drops what is known of an address from an earlier run.
func forgetNeighbour(ip netip.Addr) {
	bridge, err := netlink.LinkByName(lab.Bridge)
	if err != nil {
		return
	}
	_ = netlink.NeighDel(&netlink.Neigh{LinkIndex: bridge.Attrs().Index, Family: netlink.FAMILY_V4, IP: ip.AsSlice()}) // it may not be there
}

// networkPause is how often a machine is looked for on the network.
const networkPause = 200 * time.Millisecond

// awaitNetwork waits until the machine answers on the lab's network: by its
// hardware address alone, which no firewall keeps back. false: ctx has ended.
func awaitNetwork(ctx context.Context, ip netip.Addr) bool {
	tick := time.NewTicker(networkPause)
	defer tick.Stop()
	for {
		if answers(ip) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// known are the states of a neighbour that has answered (linux/neighbour.h).
const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT

// answers asks who has an address, and tells whether somebody has answered. The
// caller is inside the lab.
func answers(ip netip.Addr) bool {
	bridge, err := netlink.LinkByName(lab.Bridge)
	if err != nil {
		return false
	}
	neighbours, err := netlink.NeighList(bridge.Attrs().Index, netlink.FAMILY_V4)
	if err != nil {
		return false
	}
	for _, n := range neighbours {
		if addr, ok := netip.AddrFromSlice(n.IP.To4()); ok && addr == ip && n.State&known != 0 {
			return true
		}
	}
	// A datagram to the discard service (RFC 863) makes the kernel ask.
	if c, err := net.Dial("udp", netip.AddrPortFrom(ip, 9).String()); err == nil {
		c.Write([]byte{0})
		c.Close()
	}
	return false
}
