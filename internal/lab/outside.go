package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// outsideState remembers what the way out changed on the host. It is written
// before the change, so that a killed slipway can be cleaned up after.
type outsideState struct {
	Veth    string       `json:"veth"`  // interface on the host
	Table   string       `json:"table"` // nftables table on the host
	Forward string       `json:"forward"`
	Link    netip.Prefix `json:"link"` // the two addresses between host and lab

	// As a user there is only a process.
	PID   int    `json:"pid,omitempty"`
	Start string `json:"start,omitempty"`
}

const (
	uplink      = "up0" // the lab's side
	forwardFile = "/proc/sys/net/ipv4/ip_forward"
)

func (l *Lab) outsidePath() string { return filepath.Join(l.dir, "outside.json") }

// OpenOutside gives the lab a way out for the machines that ask for one. It is
// called on the host, by a member that joined there, before such a machine
// starts; a second call does nothing. IPv4 only.
func (l *Lab) OpenOutside(ctx context.Context) error {
	if l.inside {
		return errors.New("opening the lab's way out: only the host can")
	}
	lock, err := lockFile(ctx, l.lockPath())
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(l.outsidePath()); err == nil {
		return nil
	}
	if !l.root {
		return l.openByPasta(ctx)
	}
	state, err := l.planOutside()
	if err != nil {
		return err
	}
	if err := writeJSON(l.outsidePath(), state); err != nil {
		return fmt.Errorf("opening the lab's way out: %w", err)
	}
	if err := l.buildOutside(state); err != nil {
		return errors.Join(fmt.Errorf("opening the lab's way out: %w", err), l.undoOutside())
	}
	return nil
}

func (l *Lab) planOutside() (outsideState, error) {
	forward, err := os.ReadFile(forwardFile)
	if err != nil {
		return outsideState{}, fmt.Errorf("reading the host's forwarding switch: %w", err)
	}
	taken := append(hostPrefixes(), l.Subnets.IPv4)
	link, err := chooseSubnets("link "+l.dir, taken)
	sum := sha256.Sum256([]byte(l.dir))
	id := hex.EncodeToString(sum[:4])
	return outsideState{
		Veth: "slipway" + id, Table: "slipway-" + id,
		Forward: strings.TrimSpace(string(forward)),
		Link:    netip.PrefixFrom(link.IPv4.Addr().Next(), 30),
	}, err
}

// buildOutside makes: a veth pair host-lab, routes, the lab's gate (only
// machines with Outside may pass) and the host's translation.
func (l *Lab) buildOutside(s outsideState) error {
	inner := netip.PrefixFrom(s.Link.Addr().Next(), s.Link.Bits())
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.Veth
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: uplink, PeerNamespace: netlink.NsFd(l.net.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making the interface %s: %w%s", s.Veth, err, moduleHint(err, "veth"))
	}
	host, err := netlink.LinkByName(s.Veth)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: host.Attrs().Index, Gw: inner.Addr().AsSlice(), Dst: addr(l.Subnets.IPv4).IPNet}
	if err := errors.Join(netlink.AddrAdd(host, addr(s.Link)), netlink.LinkSetUp(host)); err != nil {
		return fmt.Errorf("setting %s up: %w", s.Veth, err)
	}
	if err := l.buildUplink(s.Link.Addr(), inner); err != nil {
		return err
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("routing %s: %w", l.Subnets.IPv4, err)
	}
	if err := translate(s.Table, s.Veth, l.Subnets.IPv4); err != nil {
		return fmt.Errorf("translating addresses: %w", err)
	}
	if s.Forward == "1" {
		return nil
	}
	return os.WriteFile(forwardFile, []byte("1\n"), 0o644)
}

// buildUplink sets the lab's side up.
func (l *Lab) buildUplink(gateway netip.Addr, own netip.Prefix) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(l.net.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("reaching the lab's network: %w", err)
	}
	defer h.Close()
	up, err := h.LinkByName(uplink)
	if err != nil {
		return err
	}
	if err := errors.Join(h.AddrAdd(up, addr(own)), h.LinkSetUp(up)); err != nil {
		return fmt.Errorf("setting %s up: %w", uplink, err)
	}
	route := &netlink.Route{LinkIndex: up.Attrs().Index, Gw: net.IP(gateway.AsSlice())}
	if err := h.RouteAdd(route); err != nil {
		return fmt.Errorf("routing through %s: %w", uplink, err)
	}
	if err := makeGate(l.net); err != nil {
		return fmt.Errorf("closing the lab to machines without a way out: %w", err)
	}
	// The file shows the network of the thread that opens it.
	return inNetNS(l.net, func() error { return os.WriteFile(forwardFile, []byte("1\n"), 0o644) })
}

// setGate lets a machine out, or sees to it that its address, which another
// machine may have had, is not let out.
func (l *Lab) setGate(m Machine) error {
	if _, err := os.Stat(l.outsidePath()); err != nil {
		if !m.Outside {
			return nil
		}
		return fmt.Errorf("attaching %s: it wants a way out of the lab and the lab has none", m.Name)
	}
	if err := passGate(l.net, m.IPv4, m.Outside); err != nil {
		return fmt.Errorf("setting the way out of %s: %w", m.Name, err)
	}
	return nil
}

// undoOutside takes everything back. It runs wherever the last member is, in
// the host's network namespace, and works from the record alone.
func (l *Lab) undoOutside() error {
	var s outsideState
	if err := readJSON(l.outsidePath(), &s); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return errors.Join(err, os.Remove(l.outsidePath()))
	}
	if s.PID != 0 {
		return errors.Join(endPasta(s), os.Remove(l.outsidePath()))
	}
	undo := func() error {
		var errs []error
		if link, err := netlink.LinkByName(s.Veth); err == nil {
			errs = append(errs, netlink.LinkDel(link))
		}
		errs = append(errs, dropTable(s.Table))
		if s.Forward == "0" {
			errs = append(errs, os.WriteFile(forwardFile, []byte("0\n"), 0o644))
		}
		return errors.Join(errs...)
	}
	var err error
	if l.inside && l.hostNet != nil {
		err = inNetNS(l.hostNet, undo)
	} else {
		err = undo()
	}
	if err != nil {
		return fmt.Errorf("closing the lab's way out: %w", err)
	}
	return os.Remove(l.outsidePath())
}
