package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"slipway/internal/machine"
	"slipway/internal/netboot/power"
)

func newWake(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "wake FILE",
		Short: "Turn a machine on",
		Long: `Turn on the machine of a definition, as its key netboot.power says: by a command,
by a line of a serial port, or, without that key, by Wake-on-LAN packets to the
addresses of netboot.match.mac, on every network of this host. Whether it woke
is seen by the boot server, when its first packet comes.`,
		Example: `  slipway wake fleet/node1.yaml`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := env.load(args[0])
			if err != nil {
				return err
			}
			how, err := wake(cmd.Context(), d)
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(map[string]any{"machine": d.Name, "by": how})
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: turned on by %s\n", d.Name, how)
			return err
		},
	}
}

// wake turns a machine on and says how.
func wake(ctx context.Context, d *machine.Definition) (how string, err error) {
	var cards []net.HardwareAddr
	p := &machine.Power{}
	if n := d.Netboot; n != nil {
		if n.Power != nil {
			p = n.Power
		}
		for _, text := range n.Match.MAC {
			card, err := net.ParseMAC(text)
			if err != nil {
				return "", err
			}
			cards = append(cards, card)
		}
	}
	var s power.Switch
	switch {
	case len(p.Command) > 0:
		s, how = &power.Command{Args: p.Command}, "its command"
	case p.Serial != "":
		line, err := power.ParseLine(p.Line)
		if err != nil {
			return "", err
		}
		s, how = &power.Serial{Device: p.Serial, Line: line, Hold: p.Hold}, fmt.Sprintf("%s of %s", line, p.Serial)
	case len(cards) == 0:
		return "", fmt.Errorf("turning on %s: its definition names no network card to wake; write netboot.match.mac, or netboot.power", d.Name)
	default:
		for _, card := range cards {
			if err := (&power.Wake{}).On(ctx, d.Name, card); err != nil {
				return "", err
			}
		}
		return "Wake-on-LAN packets", nil
	}
	if len(cards) == 0 {
		cards = []net.HardwareAddr{nil}
	}
	return how, s.On(ctx, d.Name, cards[0])
}
