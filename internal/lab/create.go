package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"slipway/internal/sandbox"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// createWorker is the worker in whose namespaces a lab begins.
const createWorker = "lab:create"

func init() {
	sandbox.Register(createWorker, func(_ context.Context, w *sandbox.Worker) error {
		var s Subnets
		if err := w.Args(&s); err != nil {
			return err
		}
		if err := makeBridge(s); err != nil {
			return err
		}
		if err := w.Emit("ready"); err != nil {
			return err
		}
		// Stay until the parent has opened the namespaces.
		var none any
		if err := w.Recv(&none); err != io.EOF {
			return err
		}
		return nil
	})
}

// makeBridge sets up the new namespace: lo, the bridge and its addresses.
func makeBridge(s Subnets) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("switching lo on: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Bridge
	attrs.HardwareAddr = macOf(Bridge)
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil {
		return fmt.Errorf("making the bridge %s: %w%s", Bridge, err, moduleHint(err, "bridge"))
	}
	for _, p := range []netip.Prefix{netip.PrefixFrom(s.Gateway4(), s.IPv4.Bits()), netip.PrefixFrom(s.Gateway6(), s.IPv6.Bits())} {
		if err := netlink.AddrAdd(br, addr(p)); err != nil && !(p.Addr().Is6() && noIPv6(err)) {
			return fmt.Errorf("giving %s to %s: %w", p, Bridge, err)
		}
	}
	if err := netlink.LinkSetUp(br); err != nil {
		return fmt.Errorf("switching %s on: %w", Bridge, err)
	}
	return nil
}

// addr is an address ready for use at once: nobody else in the lab can have
// it, so duplicate detection would only delay.
func addr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// noIPv6 says that the host has IPv6 switched off; the lab does without.
func noIPv6(err error) bool {
	return err == unix.EACCES || err == unix.EOPNOTSUPP || err == unix.EAFNOSUPPORT || err == unix.EPERM
}

// moduleHint explains an unknown kind of interface: a user's namespace cannot
// load the module.
func moduleHint(err error, module string) string {
	if err == unix.EOPNOTSUPP || err == unix.ENODEV {
		return "; load the module as root: modprobe " + module
	}
	return ""
}
