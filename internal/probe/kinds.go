package probe

import "slipway/internal/machine"

// way is a way into a machine that a check needs.
type way int

const (
	byNetwork way = 1 << iota
	byExec
	byTerminal
	byUsage
	byPending
	byReboot
)

// kind is one kind of probe: how to tell that it was asked for, what it needs
// and how it is made.
type kind struct {
	name string
	set  func(*machine.Probe) bool
	ways way
	make func(*machine.Probe) check
}

// kinds is the table of all kinds. A new kind is a file and a line here.
var kinds = []kind{
	{"http", func(p *machine.Probe) bool { return p.HTTP != nil }, byNetwork, newHTTP},
	{"tcp", func(p *machine.Probe) bool { return p.TCP != nil }, byNetwork, newTCP},
	{"udp", func(p *machine.Probe) bool { return p.UDP != nil }, byNetwork, newUDP},
	{"dns", func(p *machine.Probe) bool { return p.DNS != nil }, byNetwork, newDNS},
	{"tls", func(p *machine.Probe) bool { return p.TLS != nil }, byNetwork, newTLS},
	{"ssh", func(p *machine.Probe) bool { return p.SSH != nil }, byNetwork, newSSH},
	{"login", func(p *machine.Probe) bool { return p.Login != nil }, byTerminal, newLogin},
	{"command", func(p *machine.Probe) bool { return p.Command != "" }, byExec, newCommand},
	{"file", func(p *machine.Probe) bool { return p.FileCheck != nil }, byExec, newFile},
	{"unit", func(p *machine.Probe) bool { return p.Unit != nil }, byExec, newUnit},
	{"log", func(p *machine.Probe) bool { return p.Log != nil }, byExec, newLog},
	{"port_closed", func(p *machine.Probe) bool { return p.PortClosed != 0 }, byNetwork, newPortClosed},
	{"backend", func(p *machine.Probe) bool { return p.Backend != nil }, byExec, newBackend},
	{"no_failed_units", func(p *machine.Probe) bool { return p.NoFailedUnits }, byExec, newNoFailedUnits},
	{"updates", func(p *machine.Probe) bool { return p.Updates != nil }, byExec | byPending, newUpdates},
	{"limit", func(p *machine.Probe) bool { return p.Limit != nil }, byUsage, newLimit},
	{"reboot", func(p *machine.Probe) bool { return p.Reboot > 0 }, byReboot, newReboot},
}

// kindOf finds a probe's kind; nil if none is set.
func kindOf(p *machine.Probe) *kind {
	for i := range kinds {
		if kinds[i].set(p) {
			return &kinds[i]
		}
	}
	return nil
}

// Name is a probe's name: the given one, else its kind.
func Name(p *machine.Probe) string {
	if p.Name != "" {
		return p.Name
	}
	if k := kindOf(p); k != nil {
		return k.name
	}
	return "probe"
}
