package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// backendUnits are the units of systemd by which a network backend starts; the
// first is the one that is enabled, the others come with it.
var backendUnits = []struct {
	backend string
	units   []string
}{
	{"networkd", []string{"systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service"}},
	{"ifupdown", []string{"networking.service", "ifupdown-wait-online.service"}},
	{"networkmanager", []string{"NetworkManager.service", "NetworkManager-wait-online.service", "NetworkManager-dispatcher.service"}},
}

// startBackend has the chosen backend started and the others not: two that
// configure one interface undo each other's work. OpenRC has but one service
// for every ifup, which alpineInterfaces or the package links.
func (j *job) startBackend(ctx context.Context, backend string) error {
	if j.env.Init != "systemd" {
		return nil
	}
	winner := ""
	var losers []string
	for _, b := range backendUnits {
		if b.backend == backend {
			winner = b.units[0]
		} else {
			losers = append(losers, b.units...)
		}
	}
	return j.choose(ctx, "network", winner, losers)
}

// choose enables one unit and disables others, as far as they are there. A
// preset repeats it for the first boot, on which systemd enables everything
// that no preset disables.
func (j *job) choose(ctx context.Context, subject, winner string, losers []string) error {
	var preset strings.Builder
	if winner != "" {
		if err := j.enable(ctx, winner); err != nil {
			return err
		}
		fmt.Fprintf(&preset, "enable %s\n", winner)
	}
	for _, name := range losers {
		if _, there := j.findUnit(name); !there {
			continue
		}
		if i := slices.IndexFunc(j.def.Services.Enable, func(s string) bool { return unitName(s) == name }); i >= 0 {
			pos := at(j.def.At(fmt.Sprintf("services.enable.%d", i)))
			return fmt.Errorf("%sservices.enable starts %s, and another was chosen for the same work (%s); take it out, or choose it", pos, name, or(winner, "none"))
		}
		u, err := j.unit(name)
		if err != nil {
			return err
		}
		if _, err := j.removeLinks(unitEtc, u); err != nil {
			return err
		}
		fmt.Fprintf(&preset, "disable %s\n", name)
	}
	if preset.Len() == 0 {
		return nil
	}
	return j.writeText("/etc/systemd/system-preset/20-slipway-"+subject+".preset", preset.String(), plainFile)
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
