package vm

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"slipway/internal/lab"
	"slipway/internal/machine"
	"slipway/internal/target/qemu"
	"slipway/internal/target/qemu/link"
	"slipway/internal/target/supervisor"
)

// attach gives the machine its cards: the first is its place in the lab,
// further ones have addresses of their own there. An isolated machine has
// cards without a cable.
func (b *body) attach(r *run, config *qemu.Config) (*supervisor.Attachment, error) {
	wanted := b.Spec.Definition.VM.NICs
	if len(wanted) == 0 {
		wanted = []machine.NIC{{}}
	}
	for i, want := range wanted {
		card := qemu.NIC{Model: want.Model, Slot: want.Slot, MAC: qemu.MAC(b.Spec.Name, i)}
		if want.MAC != "" {
			mac, err := net.ParseMAC(want.MAC)
			if err != nil {
				return nil, fmt.Errorf("network card %d: %w", i+1, err)
			}
			card.MAC = mac
		}
		if n := b.Spec.Definition.Netboot; n != nil && b.fetched() && want.MAC == "" && i < len(n.Match.MAC) {
			card.MAC, _ = net.ParseMAC(n.Match.MAC[i]) // its form was checked
		}
		config.NICs = append(config.NICs, card)
	}
	if b.fetched() {
		first := &config.NICs[0]
		// UEFI has a driver for virtio cards; what is in their ROM is a loader already.
		first.Boot, first.NoROM = 1, config.Boot.Firmware == "uefi" && first.Model != "e1000e"
	}
	return b.Attach(func(ctx context.Context, l *lab.Lab, m lab.Machine) (*lab.Link, error) {
		m.DHCP = len(b.Spec.Definition.Network) > 0 || b.Spec.Definition.FromImage()
		first, err := r.plug(ctx, l, m, &config.NICs[0])
		for i := 1; err == nil && i < len(config.NICs); i++ {
			further := lab.Machine{Name: m.Name + "-" + strconv.Itoa(i+1), Outside: m.Outside, DHCP: true}
			var entry *lab.Link
			if entry, err = r.plug(ctx, l, further, &config.NICs[i]); err == nil {
				r.links = append(r.links, entry)
			}
		}
		if err != nil && first != nil {
			first.Close()
		}
		return first, err
	})
}

// plug enters a card in the lab's directory and gives it a cable to the bridge.
func (r *run) plug(ctx context.Context, l *lab.Lab, m lab.Machine, card *qemu.NIC) (*lab.Link, error) {
	m.MAC = card.MAC.String()
	for _, other := range l.Machines() {
		if strings.EqualFold(other.MAC, m.MAC) {
			return nil, fmt.Errorf("machine %s in the lab has the hardware address %s too; give one of them another (vm.nics)", other.Name, m.MAC)
		}
	}
	entry, err := l.Announce(ctx, m)
	if err != nil {
		return nil, err
	}
	forgetNeighbour(entry.IPv4)
	cable, err := link.Open(lab.Bridge, entry.Port)
	if err != nil {
		entry.Close()
		return nil, fmt.Errorf("giving %s a cable into the lab: %w", m.Name, err)
	}
	r.cables = append(r.cables, cable)
	card.Tap, card.Stream = cable.Tap, cable.Stream
	return entry, nil
}
