package cloud

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"slipway/internal/machine"
)

// networkConfig is version 2 of cloud-init's network configuration.
type networkConfig struct {
	Version   int                 `json:"version"`
	Ethernets map[string]ethernet `json:"ethernets"`
	Bonds     map[string]bond     `json:"bonds,omitempty"`
}

type bond struct {
	Interfaces []string          `json:"interfaces"`
	Parameters map[string]string `json:"parameters"`
	ethernet
}

type ethernet struct {
	Match       *match       `json:"match,omitempty"`
	SetName     string       `json:"set-name,omitempty"`
	DHCP        bool         `json:"dhcp4"`
	Addresses   []string     `json:"addresses,omitempty"`
	Routes      []route      `json:"routes,omitempty"`
	Nameservers *nameservers `json:"nameservers,omitempty"`
}

type match struct {
	MAC  string `json:"macaddress,omitempty"`
	Name string `json:"name,omitempty"`
}

type route struct {
	To  string `json:"to"`
	Via string `json:"via"`
}

type nameservers struct {
	Addresses []string `json:"addresses"`
}

// Network is version 2 of the network configuration, as JSON: it configures the cards. Where there is no doubt which card is meant it
// is named by its hardware address, which every distribution's network
// configuration understands; not all of them understand patterns.
func Network(d *machine.Definition, macs []net.HardwareAddr) ([]byte, error) {
	c := networkConfig{Version: 2, Ethernets: map[string]ethernet{}}
	switch {
	case len(d.Network) == 0:
		for i, mac := range macs {
			c.Ethernets[fmt.Sprintf("eth%d", i)] = ethernet{Match: &match{MAC: mac.String()}, SetName: fmt.Sprintf("eth%d", i), DHCP: true}
		}
	case len(d.Network) == 1 && len(macs) == 1 && d.Network[0].Bond == nil:
		e := fixed(d.Network[0])
		e.Match, e.SetName = &match{MAC: macs[0].String()}, "eth0"
		c.Ethernets["eth0"] = e
	default:
		for i, n := range d.Network {
			if n.Bond != nil {
				c.bond(n)
				continue
			}
			for j, pattern := range strings.Fields(n.Match) {
				e := fixed(n)
				e.Match = &match{Name: pattern}
				c.Ethernets[fmt.Sprintf("card%d-%d", i, j)] = e
			}
		}
	}
	return json.MarshalIndent(c, "", "  ")
}

// bondKeys are the names of the driver's options in this format.
var bondKeys = map[string]string{
	"lacp_rate": "lacp-rate", "miimon": "mii-monitor-interval", "xmit_hash_policy": "transmit-hash-policy",
	"updelay": "up-delay", "downdelay": "down-delay", "primary": "primary",
}

// bond adds a bond and its members.
func (c *networkConfig) bond(n machine.Network) {
	b := bond{Interfaces: n.Bond.Members, Parameters: map[string]string{"mode": or(n.Bond.Mode, "active-backup")}, ethernet: fixed(n)}
	for option, value := range n.Bond.Options {
		b.Parameters[bondKeys[option]] = value
	}
	for _, m := range n.Bond.Members {
		c.Ethernets[m] = ethernet{}
	}
	if c.Bonds == nil {
		c.Bonds = map[string]bond{}
	}
	c.Bonds[n.Match] = b
}

// fixed is what a definition says of a card.
func fixed(n machine.Network) ethernet {
	e := ethernet{DHCP: n.DHCP, Addresses: n.Address}
	if n.Gateway != "" {
		to := "0.0.0.0/0"
		if strings.Contains(n.Gateway, ":") {
			to = "::/0"
		}
		e.Routes = []route{{to, n.Gateway}}
	}
	if n.Gateway6 != "" {
		e.Routes = append(e.Routes, route{"::/0", n.Gateway6})
	}
	if len(n.DNS) > 0 {
		e.Nameservers = &nameservers{n.DNS}
	}
	return e
}
