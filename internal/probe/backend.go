package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// newBackend looks who does the network, the resolver or the clock.
func newBackend(p *machine.Probe) check {
	b := p.Backend
	switch {
	case b.Resolver != "":
		return resolverCheck{b}
	case b.Time != "":
		return clockCheck{b.Time}
	}
	return networkCheck{b.Network}
}

// runningScript prints which of the named services run. A word is NAME of
// systemd, or openrc:NAME.
const runningScript = `running() {
	for unit; do
		case $unit in
		openrc:*) command -v rc-service >/dev/null 2>&1 && rc-service "${unit#openrc:}" status >/dev/null 2>&1 && echo "running $unit" ;;
		*) [ -d /run/systemd/system ] && systemctl --quiet is-active "$unit" && echo "running $unit" ;;
		esac
	done
	return 0
}
`

// facts are the lines that a script has printed: a word and what follows it.
type facts map[string][]string

func (s *session) facts(ctx context.Context, script string, params ...string) (facts, error) {
	res, err := s.shell(ctx, script, params...)
	if err != nil {
		return nil, err
	}
	if res.Exit != 0 {
		return nil, fmt.Errorf("%s", describe(res))
	}
	f := facts{}
	for _, line := range strings.Split(string(res.Stdout), "\n") {
		if word, rest, _ := strings.Cut(strings.TrimRight(line, " "), " "); word != "" {
			f[word] = append(f[word], rest)
		}
	}
	return f, nil
}

// oneOf judges which of several services run: the wanted one and no other. Of
// each only the names are known.
func oneOf(f facts, want string, names map[string][]string) (outcome, bool) {
	runs := false
	for name, units := range names {
		for _, unit := range units {
			if !slices.Contains(f["running"], unit) {
				continue
			}
			if name != want {
				return misses("%s, which runs too", name), false
			}
			runs = true
		}
	}
	if !runs {
		return misses("%s, which does not run", want), false
	}
	return outcome{}, true
}

// words are all names, for the script.
func words(names map[string][]string) []string {
	var out []string
	for _, units := range names {
		out = append(out, units...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
