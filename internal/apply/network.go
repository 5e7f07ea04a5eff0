package apply

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// applyNetwork writes the interfaces' configuration in the words of the chosen
// backend, and has that one started and no other.
func applyNetwork(ctx context.Context, j *job) error {
	if len(j.def.Network) == 0 {
		return nil
	}
	for _, n := range j.def.Network {
		if err := validNetwork(n); err != nil {
			return err
		}
	}
	backend := j.networkBackend()
	write := map[string]func() error{
		"networkd": j.networkd, "networkmanager": j.networkManager, "ifupdown": j.ifupdown, "busybox": j.busyboxIfup,
	}[backend]
	if write == nil {
		return fmt.Errorf("network_backend: %q is not one that a tree can be given", backend)
	}
	if err := write(); err != nil {
		return err
	}
	if err := j.startBackend(ctx, backend); err != nil {
		return err
	}
	return j.resolver(ctx, backend)
}

// networkBackend is the chosen one; without a choice the tree decides.
func (j *job) networkBackend() string {
	if chosen := j.def.ChosenNetwork(); chosen != "" {
		return chosen
	}
	if j.env.Init == "systemd" {
		return "networkd"
	}
	return "ifupdown"
}

func validNetwork(n machine.Network) error {
	if strings.TrimSpace(n.Match) == "" || strings.Contains(n.Match, "\n") {
		return fmt.Errorf("match %q names no interface", n.Match)
	}
	for _, a := range n.Address {
		if _, err := netip.ParsePrefix(a); err != nil {
			return fmt.Errorf("address %q is not like 192.0.2.7/24: %w", a, err)
		}
	}
	for _, a := range append(slices.Clone(n.DNS), n.Gateway, n.Gateway6) {
		if a == "" {
			continue
		}
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("%q is no address: %w", a, err)
		}
	}
	return nil
}

// isPattern tells whether a word of match stands for more than one name.
func isPattern(word string) bool { return strings.ContainsAny(word, "*?[") }

// byFamily splits addresses into those of IPv4 and IPv6.
func byFamily(list []string) (v4, v6 []string) {
	for _, a := range list {
		if strings.Contains(a, ":") {
			v6 = append(v6, a)
		} else {
			v4 = append(v4, a)
		}
	}
	return v4, v6
}

// gateways are the two of an item, by family.
func gateways(n machine.Network) (v4, v6 string) {
	v6 = n.Gateway6
	if strings.Contains(n.Gateway, ":") {
		return "", n.Gateway
	}
	return n.Gateway, v6
}

// bondMode is the mode, with the default that all backends get.
func bondMode(b *machine.Bond) string {
	if b.Mode == "" {
		return "active-backup"
	}
	return b.Mode
}
