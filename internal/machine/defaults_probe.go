package machine

import (
	"fmt"
	"time"
)

// Defaults of every probe.
const (
	DefaultWithin = 30 * time.Second
	DefaultEvery  = 250 * time.Millisecond
	RebootWithin  = 3 * time.Minute // of one cold boot, in place of DefaultWithin
)

// fillProbes sets the defaults of the probes. Those without a name are named
// after their kind.
func (d *Definition) fillProbes() {
	d.proveChoices()
	var names []string
	for _, p := range d.Probes {
		names = append(names, p.Name)
	}
	for i := range d.Probes {
		p := &d.Probes[i]
		if p.Reboot > 0 {
			setDefault(&p.Within, time.Duration(p.Reboot)*RebootWithin)
		}
		setDefault(&p.Within, DefaultWithin)
		setDefault(&p.Every, DefaultEvery)
		if p.Name == "" {
			p.Name = uniqueName(p.summary(), names)
			names = append(names, p.Name)
		}
		p.fill()
	}
}

// fill sets the defaults of the probe's kind.
func (p *Probe) fill() {
	yes, zero := true, 0
	switch {
	case p.HTTP != nil:
		setDefault(&p.HTTP.Method, "GET")
		setDefault(&p.HTTP.Status, 200)
		setDefault(&p.HTTP.Verify, &yes)
	case p.DNS != nil:
		setDefault(&p.DNS.Type, "A")
	case p.TLS != nil:
		setDefault(&p.TLS.Verify, &yes)
	case p.SSH != nil:
		setDefault(&p.SSH.Port, 22)
		setDefault(&p.SSH.User, "root")
	case p.FileCheck != nil:
		setDefault(&p.FileCheck.Exists, &yes)
	case p.Unit != nil:
		setDefault(&p.Unit.State, "active")
	case p.Updates != nil:
		setDefault(&p.Updates.Pending, &zero)
	case p.Command != "":
		setDefault(&p.Exit, &zero)
	}
}

// Kind is the key that says what the probe does: "http", "tcp" and so on, ""
// if none was given.
func (p *Probe) Kind() string {
	for kind, given := range map[string]bool{
		"http": p.HTTP != nil, "tcp": p.TCP != nil, "udp": p.UDP != nil, "dns": p.DNS != nil, "tls": p.TLS != nil,
		"ssh": p.SSH != nil, "login": p.Login != nil, "command": p.Command != "", "file": p.FileCheck != nil,
		"unit": p.Unit != nil, "log": p.Log != nil, "port_closed": p.PortClosed != 0, "backend": p.Backend != nil,
		"no_failed_units": p.NoFailedUnits, "updates": p.Updates != nil, "limit": p.Limit != nil,
	} {
		if given {
			return kind
		}
	}
	return ""
}

// summary is the name of a probe that was given none.
func (p *Probe) summary() string {
	switch kind := p.Kind(); kind {
	case "":
		return "probe"
	case "tcp":
		return fmt.Sprintf("tcp-%d", p.TCP.Port)
	case "udp":
		return fmt.Sprintf("udp-%d", p.UDP.Port)
	case "backend":
		return p.Backend.subject()
	case "port_closed":
		return fmt.Sprintf("port-%d-closed", p.PortClosed)
	default:
		return kind
	}
}
