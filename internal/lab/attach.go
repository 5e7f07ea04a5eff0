package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Machine is an entry of the lab's directory: what the name server, the DHCP
// server and the way out know about a machine.
type Machine struct {
	Name    string     `json:"name"`
	Aliases []string   `json:"aliases,omitempty"` // more names that mean it
	Outside bool       `json:"outside,omitempty"` // may leave the lab
	DHCP    bool       `json:"dhcp,omitempty"`    // configures its interface itself
	IPv4    netip.Addr `json:"ipv4"`              // set by Announce and Attach
	IPv6    netip.Addr `json:"ipv6"`
	MAC     string     `json:"mac"`    // empty: derived from the name; lower case
	Number  uint8      `json:"number"` // last part of its addresses
}

// Interface is what a machine's side of a link is called.
const Interface = "host0"

// Link is a machine's connection with the lab.
type Link struct {
	Machine
	Port string // the bridge's side

	lab    *Lab
	record *os.File
}

// Machines lists the machines whose members live.
func (l *Lab) Machines() []Machine {
	var list []Machine
	eachRecord(l.machineDir(), ".machine", func(_ string, m Machine) { list = append(list, m) })
	return list
}

func (l *Lab) isLive(name string) bool {
	for _, m := range l.Machines() {
		if m.Name == name {
			return true
		}
	}
	return false
}

// Announce allocates addresses for m and enters it in the directory for as long
// as the Link is open and the process lives. Attach does it for containers;
// alone it serves machines with an interface of another kind.
func (l *Lab) Announce(ctx context.Context, m Machine) (*Link, error) {
	a, err := l.Allocate(ctx, m.Name)
	if err != nil {
		return nil, err
	}
	b := a.IPv4.As4()
	m.IPv4, m.IPv6, m.Number = a.IPv4, a.IPv6, b[3]
	if m.DHCP { // the lab's server knows IPv4 alone
		m.IPv6 = netip.Addr{}
	}
	if m.MAC == "" {
		m.MAC = a.MAC.String()
	}
	if l.isLive(m.Name) {
		return nil, fmt.Errorf("attaching %s: a machine of that name is in the lab already", m.Name)
	}
	f, err := createRecord(l.machineDir(), recordName(m.Name), m)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", m.Name, err)
	}
	link := &Link{Machine: m, Port: portName(m.Name), lab: l, record: f}
	if err := l.setGate(m); err != nil {
		link.Close()
		return nil, err
	}
	return link, nil
}

// recordName must not depend on what a machine's name may contain.
func recordName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8]) + ".machine"
}

// portName is the bridge's side of a machine: at most 15 bytes.
func portName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "m" + hex.EncodeToString(sum[:5])
}

// AttachPID is Attach for the network namespace of a process.
func (l *Lab) AttachPID(ctx context.Context, pid int, m Machine) (*Link, error) {
	ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", m.Name, err)
	}
	defer ns.Close()
	return l.Attach(ctx, ns, m)
}

// Attach connects the network namespace ns with the bridge: an interface host0
// appears in it, with addresses unless m.DHCP. The caller is inside the lab.
// The interface goes with its namespace, the directory entry with Close.
func (l *Lab) Attach(ctx context.Context, ns *os.File, m Machine) (*Link, error) {
	link, err := l.Announce(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := l.connect(ns, link); err != nil {
		link.Close()
		return nil, fmt.Errorf("attaching %s: %w", m.Name, err)
	}
	return link, nil
}

// Close takes the machine out of the directory, closes its way out and removes
// its bridge port. It must come before the membership's end.
func (k *Link) Close() error {
	if k.record == nil {
		return nil
	}
	var errs []error
	if k.Outside {
		gone := k.Machine
		gone.Outside = false
		errs = append(errs, k.lab.setGate(gone))
	}
	if h, err := netlink.NewHandleAt(netns.NsHandle(k.lab.net.Fd()), unix.NETLINK_ROUTE); err == nil {
		if port, err := h.LinkByName(k.Port); err == nil {
			errs = append(errs, h.LinkDel(port))
		}
		h.Close()
	}
	errs = append(errs, k.record.Close())
	k.record = nil
	return errors.Join(errs...)
}

func (l *Lab) connect(ns *os.File, k *Link) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(l.net.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("reaching the lab's network: %w", err)
	}
	defer h.Close()
	bridge, err := h.LinkByName(Bridge)
	if err != nil {
		return fmt.Errorf("finding %s: %w", Bridge, err)
	}
	if old, err := h.LinkByName(k.Port); err == nil {
		h.LinkDel(old) // of a machine that was killed
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = k.Port
	attrs.MasterIndex = bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: Interface, PeerHardwareAddr: macOf(k.Name), PeerNamespace: netlink.NsFd(ns.Fd())}
	if err := h.LinkAdd(veth); err != nil {
		return fmt.Errorf("making a veth pair: %w%s", err, moduleHint(err, "veth"))
	}
	port, err := h.LinkByName(k.Port)
	if err == nil {
		err = h.LinkSetUp(port)
	}
	if err != nil {
		return fmt.Errorf("switching %s on: %w", k.Port, err)
	}
	return l.configure(ns, k)
}

// configure sets the machine's side up from outside, so that it needs no
// network software of its own.
func (l *Lab) configure(ns *os.File, k *Link) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("reaching the machine's network: %w", err)
	}
	defer h.Close()
	if lo, err := h.LinkByName("lo"); err == nil {
		h.LinkSetUp(lo)
	}
	host0, err := h.LinkByName(Interface)
	if err != nil {
		return fmt.Errorf("finding %s: %w", Interface, err)
	}
	if k.DHCP {
		return nil
	}
	if err := h.LinkSetUp(host0); err != nil {
		return fmt.Errorf("switching %s on: %w", Interface, err)
	}
	for _, p := range []netip.Prefix{netip.PrefixFrom(k.IPv4, l.Subnets.IPv4.Bits()), netip.PrefixFrom(k.IPv6, l.Subnets.IPv6.Bits())} {
		if err := h.AddrAdd(host0, addr(p)); err != nil && !(p.Addr().Is6() && noIPv6(err)) {
			return fmt.Errorf("giving %s to %s: %w", p, Interface, err)
		}
	}
	if !k.Outside {
		return nil // no default route: outside is unreachable at once, not after a time-out
	}
	route := &netlink.Route{LinkIndex: host0.Attrs().Index, Gw: l.Subnets.Gateway4().AsSlice()}
	if err := h.RouteAdd(route); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("setting the default route: %w", err)
	}
	return nil
}
