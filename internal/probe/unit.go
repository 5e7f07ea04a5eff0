package probe

import (
	"context"
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// unitCheck looks at a service of systemd or OpenRC.
type unitCheck struct{ p *machine.UnitProbe }

func newUnit(p *machine.Probe) check { return unitCheck{p.Unit} }

func (c unitCheck) state() string {
	if c.p.State == "" {
		return "active"
	}
	return c.p.State
}

func (c unitCheck) want() string { return fmt.Sprintf("unit %s to be %s", c.p.Name, c.state()) }

// unitScript prints the init's name first. OpenRC's "started" is systemd's
// "active", and so on.
const unitScript = `if [ -d /run/systemd/system ]; then
	echo systemd; systemctl show --property=LoadState,ActiveState,SubState,Result,UnitFileState -- "$1"
elif command -v rc-service >/dev/null 2>&1; then
	echo openrc; rc-service "$1" status 2>&1
else echo none; fi`

func (c unitCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, unitScript, c.p.Name)
	if err != nil {
		return breaks("init could not be asked: %s", plain(err))
	}
	init, rest, _ := strings.Cut(string(res.Stdout), "\n")
	switch init {
	case "systemd":
		return c.systemd(res, properties(rest))
	case "openrc":
		return c.openrc(rest)
	}
	return breaks("neither systemd nor OpenRC runs")
}

func (c unitCheck) systemd(res ExecResult, p map[string]string) outcome {
	switch {
	case len(p) == 0:
		return breaks("systemctl ended with %s", describe(res))
	case p["LoadState"] == "not-found":
		if c.state() == "not-found" {
			return holds("no such unit")
		}
		return misses("no such unit")
	case p["ActiveState"] == c.state(), p["SubState"] == c.state(), p["UnitFileState"] == c.state():
		return holds("%s", c.state())
	}
	seen := fmt.Sprintf("%s (%s)", p["ActiveState"], p["SubState"])
	if p["Result"] != "" && p["Result"] != "success" {
		seen += ", result " + p["Result"]
	}
	return misses("%s", seen)
}

func (c unitCheck) openrc(text string) outcome {
	state := strings.TrimSpace(text)
	if _, after, found := strings.Cut(state, "status:"); found {
		state = strings.TrimSpace(after)
	}
	same := map[string]string{"started": "active", "stopped": "inactive", "crashed": "failed"}
	if state == c.state() || same[state] == c.state() {
		return holds("%s", state)
	}
	return misses("%s", orNothing(state))
}

// properties reads systemctl's KEY=VALUE lines.
func properties(text string) map[string]string {
	p := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if key, value, found := strings.Cut(line, "="); found {
			p[key] = value
		}
	}
	return p
}

// failedCheck wants init to have finished and nothing to have failed.
type failedCheck struct{}

func newNoFailedUnits(*machine.Probe) check { return failedCheck{} }

func (failedCheck) want() string { return "no failed units" }

// failedScript prints the system's state and then, for each failed unit, its
// name and last words.
const failedScript = `if [ -d /run/systemd/system ]; then
	echo "systemd $(systemctl is-system-running 2>/dev/null)"
	systemctl list-units --state=failed --plain --no-legend --no-pager | while read -r unit rest; do
		echo "unit $unit"; journalctl --no-pager -q -o cat -n 2 -u "$unit" 2>/dev/null | sed 's/^/  /'
	done
elif command -v rc-status >/dev/null 2>&1; then
	echo "openrc $(cat /run/openrc/softlevel 2>/dev/null)"
	rc-status --crashed 2>/dev/null | while read -r unit rest; do echo "unit $unit"; done
else echo none; fi`

func (failedCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, failedScript)
	if err != nil {
		return breaks("init could not be asked: %s", plain(err))
	}
	head, rest, _ := strings.Cut(string(res.Stdout), "\n")
	init, state, _ := strings.Cut(head, " ")
	switch {
	case init != "systemd" && init != "openrc":
		return breaks("neither systemd nor OpenRC runs")
	case init == "systemd" && (state == "" || state == "initializing" || state == "starting" || state == "offline"):
		return misses("a system that is still %s", orNothing(state))
	}
	if failed := failedUnits(rest); failed != "" {
		return misses("%s", failed)
	}
	return holds("%s", state)
}

// failedUnits lists units with their last words, on one line.
func failedUnits(text string) string {
	var units []string
	for _, line := range strings.Split(text, "\n") {
		if name, found := strings.CutPrefix(line, "unit "); found {
			units = append(units, name)
		} else if words := strings.TrimSpace(line); words != "" && len(units) > 0 {
			units[len(units)-1] += fmt.Sprintf(" %.120q", words)
		}
	}
	if len(units) == 0 {
		return ""
	}
	return "failed: " + strings.Join(units, "; ")
}
