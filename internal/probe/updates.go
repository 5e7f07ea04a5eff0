package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// updatesCheck wants the machine to be told of updates and security fixes, and
// to lack none as of the date of the lock it was built from.
type updatesCheck struct{ p *machine.UpdatesProbe }

func newUpdates(p *machine.Probe) check { return updatesCheck{p.Updates} }

func (c updatesCheck) most() int {
	if c.p.Pending == nil {
		return 0
	}
	return *c.p.Pending
}

func (c updatesCheck) want() string {
	return fmt.Sprintf("sources of updates and security fixes, and at most %d pending", c.most())
}

// updatesScript prints what the system is and where it gets packages from.
const updatesScript = `cat /etc/os-release; echo ==; cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
echo ==; for f in /etc/apt/sources.list.d/*.sources; do [ -r "$f" ] && cat "$f" && echo; done; true`

func (c updatesCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, updatesScript)
	if err != nil {
		return breaks("the machine's sources could not be read: %s", plain(err))
	}
	parts := strings.SplitN(string(res.Stdout), "==\n", 3)
	if len(parts) != 3 {
		return breaks("reading the machine's sources ended with %s", describe(res))
	}
	if lacking := lackingSuites(osRelease(parts[0]), append(lineSuites(parts[1]), deb822Suites(parts[2])...)); len(lacking) > 0 {
		return misses("no source for %s", strings.Join(lacking, " and "))
	}
	pender, ok := s.Reach.(Pender)
	if !ok {
		return breaks("the target cannot tell what is pending")
	}
	pending, err := pender.Pending(ctx)
	if err != nil {
		return breaks("what is pending is not known: %s", plain(err))
	}
	if len(pending) > c.most() {
		return misses("%d pending: %s", len(pending), strings.Join(pending[:min(len(pending), 8)], ", "))
	}
	return holds("%d pending", len(pending))
}

// lackingSuites names the suites that a release must have and has not. A
// rolling release has one suite that is its own update.
func lackingSuites(os map[string]string, have []string) []string {
	name := os["VERSION_CODENAME"]
	if os["ID"] != "debian" && os["ID"] != "ubuntu" || name == "" || name == "sid" {
		return nil
	}
	var lacking []string
	for _, want := range []string{name + "-updates", name + "-security"} {
		if !slices.Contains(have, want) {
			lacking = append(lacking, want)
		}
	}
	return lacking
}

func osRelease(text string) map[string]string {
	p := properties(text)
	for key, value := range p {
		p[key] = strings.Trim(value, `"'`)
	}
	return p
}

// lineSuites reads the suites of one-line sources (sources.list(5)).
func lineSuites(text string) []string {
	var suites []string
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "deb" {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		if fields := strings.Fields(rest); len(fields) > 1 {
			suites = append(suites, fields[1])
		}
	}
	return suites
}

// deb822Suites reads the suites of deb822 sources that are enabled.
func deb822Suites(text string) []string {
	var suites []string
	for _, stanza := range strings.Split(text, "\n\n") {
		fields := stanzaFields(stanza)
		if slices.Contains(strings.Fields(fields["types"]), "deb") && !strings.EqualFold(fields["enabled"], "no") {
			suites = append(suites, strings.Fields(fields["suites"])...)
		}
	}
	return suites
}

func stanzaFields(stanza string) map[string]string {
	fields, last := map[string]string{}, ""
	for _, line := range strings.Split(stanza, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			fields[last] += " " + strings.TrimSpace(line)
		default:
			if key, value, found := strings.Cut(line, ":"); found {
				last = strings.ToLower(key)
				fields[last] = strings.TrimSpace(value)
			}
		}
	}
	return fields
}
