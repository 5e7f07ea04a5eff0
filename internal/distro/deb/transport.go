package deb

import (
	"fmt"
	"net/url"
	"strings"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/hostapt"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// transport says by which way packages reach this host. It never says what
// they are: that is the archive's signature.
type transport struct {
	of      *archive.Distribution
	mirrors []archive.Mirror
	network fetch.Transport
}

// transportFor obeys `mirror:`; without it, the host's own package manager
// when the host runs the same distribution; else the official addresses. An
// address that was configured is not silently joined by others.
func transportFor(d *machine.Definition) (*transport, error) {
	of := distribution(d)
	main, security, network, err := hostapt.Mirror("/", of.Name)
	if err != nil {
		return nil, fmt.Errorf("reading the host's apt configuration: %w", err)
	}
	t, host := &transport{of: of, network: network}, archive.Mirror{Main: main, Security: security}
	switch {
	case d.Mirror.None:
	case d.Mirror.Main != "":
		t.mirrors = []archive.Mirror{{Main: d.Mirror.Main, Security: d.Mirror.Security}}
	case main != "" && of.Carries(host, d.Arch):
		t.mirrors = []archive.Mirror{host}
	default:
		t.mirrors = []archive.Mirror{of.Home(d.Arch)}
	}
	return t, nil
}

func (t *transport) fetcher() (*fetch.Fetcher, error) {
	client, err := fetch.NewClient(t.network)
	if err != nil {
		return nil, err
	}
	return &fetch.Fetcher{Client: client}, nil
}

// addresses lists where a pinned package may be.
func (t *transport) addresses(p plan.Package) []string {
	file := (&url.URL{Path: strings.TrimPrefix(p.File, "./")}).EscapedPath()
	switch {
	case p.Suite == "":
		return []string{"file://" + file}
	case p.URL != "":
		return []string{p.URL + "/" + file}
	}
	security := strings.HasSuffix(p.Suite, "-security")
	var out []string
	for _, m := range t.mirrors {
		bases := []string{m.Main}
		if security {
			bases = t.of.Security(m)
		}
		for _, base := range bases {
			out = append(out, strings.TrimRight(base, "/")+"/"+file)
		}
	}
	return out
}

// officialBase is the official address of a suite's archive.
func officialBase(d *machine.Definition, suite string) string {
	of := distribution(d)
	home := of.Home(d.Arch)
	if strings.HasSuffix(suite, "-security") {
		return of.Security(home)[0]
	}
	return home.Main
}
