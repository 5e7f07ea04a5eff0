package probe

import (
	"context"
	"slices"
)

// clockCheck wants the chosen time service to run, and no other. In a container
// none may: the clock is the host's.
type clockCheck struct{ service string }

func (c clockCheck) want() string {
	if c.service == "none" {
		return "no time service"
	}
	return c.service + " as the only time service"
}

var clockServices = map[string][]string{
	"timesyncd": {"systemd-timesyncd.service"},
	"chrony":    {"chrony.service", "openrc:chrony", "openrc:chronyd"},
	"openntpd":  {"openntpd.service", "openrc:openntpd"},
	"ntpd":      {"openrc:ntpd"},
}

const clockScript = runningScript + `
running "$@"
tr '\0' '\n' </proc/1/environ 2>/dev/null | grep -q '^container=' || [ -e /run/systemd/container ] && echo container
for program in systemd-timesyncd chronyd ntpd openntpd; do
	for dir in /usr/lib/systemd /lib/systemd /usr/sbin; do [ -x $dir/$program ] && echo "program $program"; done
done
exit 0`

// clockPrograms are the programs, to see in a container that the choice is there.
var clockPrograms = map[string][]string{"timesyncd": {"systemd-timesyncd"}, "chrony": {"chronyd"}, "openntpd": {"ntpd", "openntpd"}, "ntpd": {"ntpd"}}

func (c clockCheck) try(ctx context.Context, s *session) outcome {
	f, err := s.facts(ctx, clockScript, words(clockServices)...)
	if err != nil {
		return breaks("the machine could not be asked: %s", plain(err))
	}
	_, container := f["container"]
	if container || c.service == "none" {
		if len(f["running"]) > 0 {
			return misses("%s, which runs", f["running"][0])
		}
		if c.service == "none" {
			return holds("none runs")
		}
		if !slices.ContainsFunc(clockPrograms[c.service], func(p string) bool { return slices.Contains(f["program"], p) }) {
			return misses("no program of %s", c.service)
		}
		return holds("a container, whose clock is the host's: %s is there and not started", c.service)
	}
	if o, ok := oneOf(f, c.service, clockServices); !ok {
		return o
	}
	return holds("%s runs", c.service)
}
