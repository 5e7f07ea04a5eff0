package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"slipway/internal/bootfiles/cmdline"
)

// card is the network card that is in use.
type card struct {
	name, mac string
	link      netlink.Link
	stop      context.CancelFunc
}

// cardPatience is how long a card or its line may take before that is said;
// the attempts go on.
const cardPatience = 10 * time.Second

// upNetwork brings one card up. It gives up never: whoever repairs the cable,
// the switch or the DHCP server finds the machine waiting.
func upNetwork(ctx context.Context, say func(string, ...any), d *drivers, line cmdline.Line, cfg *Config) (*card, error) {
	word := cfg.IP
	if text, ok := line.Get("ip"); ok {
		word = text
	}
	fixed, err := parseIP(word)
	if err != nil {
		return nil, err
	}
	wanted := ""
	if text, ok := line.Get("BOOTIF"); ok {
		wanted = bootMAC(text)
	}
	if fixed != nil && fixed.device != "" {
		wanted = fixed.device
	}
	for {
		c, err := findCard(d, wanted)
		if err == nil {
			if fixed != nil {
				err = c.static(fixed)
			} else {
				err = c.dhcp(ctx, say)
			}
		}
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		say("the network: %v; trying again", err)
		time.Sleep(time.Second)
	}
}

// findCard waits for a card with a line: the wanted one, or the first.
func findCard(d *drivers, wanted string) (*card, error) {
	var seen []string
	for until := time.Now().Add(cardPatience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		d.coldplug()
		links, err := netlink.LinkList()
		if err != nil {
			return nil, err
		}
		seen = seen[:0]
		for _, l := range links {
			a := l.Attrs()
			if _, err := os.Stat("/sys/class/net/" + a.Name + "/device"); err != nil {
				continue
			}
			mac := a.HardwareAddr.String()
			state := "no line"
			netlink.LinkSetUp(l)
			if text("/sys/class/net/"+a.Name+"/carrier") == "1" {
				state = "line"
			}
			seen = append(seen, fmt.Sprintf("%s %s, %s", a.Name, mac, state))
			if state == "line" && (wanted == "" || wanted == mac || wanted == a.Name) {
				return &card{name: a.Name, mac: mac, link: l}, nil
			}
		}
	}
	switch {
	case len(seen) == 0:
		return nil, errors.New("this machine shows no network card: its driver or the driver's firmware is not in the initrd")
	case wanted != "":
		return nil, fmt.Errorf("the card %s has no line, or is not there (%s): look at its cable and at the switch", wanted, strings.Join(seen, "; "))
	}
	return nil, fmt.Errorf("no card has a line (%s): look at the cable and at the switch", strings.Join(seen, "; "))
}

func (c *card) static(s *static) error {
	return c.set(s.address, s.gateway, s.dns)
}

// set gives the card its address, the default route and the name servers.
func (c *card) set(address netip.Prefix, gateway netip.Addr, dns []netip.Addr) error {
	ipnet := &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), 32)}
	if err := netlink.AddrReplace(c.link, &netlink.Addr{IPNet: ipnet}); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", c.name, address, err)
	}
	if gateway.IsValid() {
		route := &netlink.Route{LinkIndex: c.link.Attrs().Index, Gw: gateway.AsSlice()}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("routing through %s: %w", gateway, err)
		}
	}
	var resolv strings.Builder
	for _, a := range dns {
		fmt.Fprintf(&resolv, "nameserver %s\n", a)
	}
	return os.WriteFile("/etc/resolv.conf", []byte(resolv.String()), 0o644)
}

// dhcp asks for an address, and keeps it as long as the program runs.
func (c *card) dhcp(ctx context.Context, say func(string, ...any)) error {
	client, err := nclient4.New(c.name, nclient4.WithTimeout(3*time.Second), nclient4.WithRetry(4))
	if err != nil {
		return err
	}
	lease, err := client.Request(ctx, dhcpv4.WithOption(dhcpv4.OptClassIdentifier("slipway-node")),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer))
	if err != nil {
		client.Close()
		return fmt.Errorf("no DHCP server answers on %s (%w)", c.name, err)
	}
	if err := c.take(lease); err != nil {
		client.Close()
		return err
	}
	say("%s has the address %s", c.name, lease.ACK.YourIPAddr)
	ctx, c.stop = context.WithCancel(ctx)
	go func() {
		defer client.Close()
		c.renew(ctx, client, lease, say)
	}()
	return nil
}

// take uses what a lease says.
func (c *card) take(lease *nclient4.Lease) error {
	ip, ok := netip.AddrFromSlice(lease.ACK.YourIPAddr.To4())
	mask := lease.ACK.SubnetMask()
	if mask == nil {
		mask = net.IP(ip.AsSlice()).DefaultMask()
	}
	bits, _ := mask.Size()
	if !ok || bits == 0 {
		return fmt.Errorf("the DHCP server %s gives %s with the mask %s", lease.ACK.ServerIdentifier(), lease.ACK.YourIPAddr, mask)
	}
	var gateway netip.Addr
	if routers := lease.ACK.Router(); len(routers) > 0 {
		gateway, _ = netip.AddrFromSlice(routers[0].To4())
	}
	var dns []netip.Addr
	for _, s := range lease.ACK.DNS() {
		if a, ok := netip.AddrFromSlice(s.To4()); ok {
			dns = append(dns, a)
		}
	}
	return c.set(netip.PrefixFrom(ip, bits), gateway, dns)
}

// renew asks again after half of the lease's time.
func (c *card) renew(ctx context.Context, client *nclient4.Client, lease *nclient4.Lease, say func(string, ...any)) {
	for {
		half := max(lease.ACK.IPAddressLeaseTime(time.Hour)/2, 10*time.Second)
		select {
		case <-ctx.Done():
			return
		case <-time.After(half):
		}
		next, err := client.Renew(ctx, lease)
		if err != nil {
			say("the address of %s was not renewed: %v", c.name, err)
			continue
		}
		lease = next
	}
}

// down leaves the card as the kernel made it.
func (c *card) down() {
	if c == nil {
		return
	}
	if c.stop != nil {
		c.stop()
	}
	addresses, _ := netlink.AddrList(c.link, netlink.FAMILY_V4)
	for i := range addresses {
		netlink.AddrDel(c.link, &addresses[i])
	}
	netlink.LinkSetDown(c.link)
}
