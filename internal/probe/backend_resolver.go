package probe

import (
	"context"
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// resolverCheck wants /etc/resolv.conf to be as the chosen resolver makes it,
// and a name to be answered by way of it.
type resolverCheck struct{ p *machine.BackendProbe }

func (c resolverCheck) want() string {
	text := "name servers by " + c.p.Resolver
	if c.p.Asks != "" {
		text += ", who know " + c.p.Asks
	}
	return text
}

const resolverScript = runningScript + `
running systemd-resolved.service
[ -L /etc/resolv.conf ] && echo "link $(readlink -f /etc/resolv.conf)"
grep -s '^nameserver' /etc/resolv.conf
command -v resolvconf >/dev/null 2>&1 && echo "resolvconf $(resolvconf -l 2>/dev/null | grep -c nameserver)"
if [ -n "$1" ]; then
	if command -v getent >/dev/null 2>&1; then getent ahosts "$1"; else nslookup "$1" 2>/dev/null | sed -n 's/^Address[ 0-9]*: *//p' | tail -n 1; fi | sed -n 's/^/answer /;1p'
fi
exit 0`

func (c resolverCheck) try(ctx context.Context, s *session) outcome {
	f, err := s.facts(ctx, resolverScript, c.p.Asks)
	if err != nil {
		return breaks("the machine could not be asked: %s", plain(err))
	}
	if why := c.wrong(f); why != "" {
		return misses("%s", why)
	}
	servers := strings.Join(f["nameserver"], ", ")
	if c.p.Asks == "" {
		return holds("%s", servers)
	}
	if len(f["answer"]) == 0 {
		return misses("no answer for %s from %s", c.p.Asks, servers)
	}
	address, _, _ := strings.Cut(f["answer"][0], " ")
	return holds("%s has %s, says %s", c.p.Asks, address, servers)
}

// wrong says what of the file is not as it should be.
func (c resolverCheck) wrong(f facts) string {
	link := strings.Join(f["link"], "")
	byResolved := strings.Contains(link, "/systemd/resolve/")
	switch {
	case len(f["nameserver"]) == 0:
		return "an /etc/resolv.conf without name servers"
	case c.p.Resolver == "resolved" && len(f["running"]) == 0:
		return "systemd-resolved, which does not run"
	case c.p.Resolver == "resolved" && !byResolved:
		return "an /etc/resolv.conf that is not systemd-resolved's"
	case c.p.Resolver == "resolved":
		return ""
	case byResolved:
		return "an /etc/resolv.conf that is systemd-resolved's"
	case c.p.Resolver == "static" && link != "":
		return fmt.Sprintf("an /etc/resolv.conf that is a link to %s", link)
	case c.p.Resolver == "resolvconf" && len(f["resolvconf"]) == 0:
		return "no program resolvconf"
	case c.p.Resolver == "resolvconf" && f["resolvconf"][0] == "0":
		return "resolvconf, which knows of no name server"
	}
	return ""
}
