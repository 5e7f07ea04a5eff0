package apply

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// clockService is a time service as distributions bring it: the names that it
// has as a service, the first that is there counting, and its configuration.
type clockService struct {
	name     string
	programs []string
	units    []string // of systemd
	scripts  []string // of OpenRC
	servers  func(j *job, servers []string) error
}

var clockServices = []clockService{
	{"timesyncd", []string{"/usr/lib/systemd/systemd-timesyncd"}, []string{"systemd-timesyncd.service"}, nil, (*job).timesyncdServers},
	{"chrony", []string{"/usr/sbin/chronyd"}, []string{"chrony.service", "chronyd.service"}, []string{"chrony", "chronyd"}, (*job).chronyServers},
	{"openntpd", []string{"/usr/sbin/ntpd", "/usr/sbin/openntpd"}, []string{"openntpd.service"}, []string{"openntpd"}, (*job).openntpdServers},
	{"ntpd", []string{"/usr/sbin/ntpd"}, nil, []string{"ntpd"}, (*job).busyboxServers},
}

// applyTime configures the chosen time service and has it started, and no
// other. In a container none is: its clock is the host's, which no container
// may set.
func applyTime(ctx context.Context, j *job) error {
	chosen := j.def.ChosenTime()
	if chosen == "" {
		return nil
	}
	var winner string
	var losers []string
	for _, s := range clockServices {
		name, all := j.clockNames(s)
		if s.name != chosen {
			losers = append(losers, all...)
			continue
		}
		if name == "" || !j.existsAny(s.programs) {
			return fmt.Errorf("the machine has no %s; add its package", chosen)
		}
		if servers := j.def.Time.Servers; len(servers) > 0 {
			if err := s.servers(j, servers); err != nil {
				return fmt.Errorf("servers of %s: %w", chosen, err)
			}
		}
		winner = name
	}
	if j.env.Container && winner != "" {
		winner, losers = "", append(losers, winner)
	}
	if j.env.Init == "systemd" {
		return j.choose(ctx, "time", winner, losers)
	}
	return j.chooseScript(winner, losers)
}

// clockNames are a service's names on this machine: the one to enable, "" if it
// is not there, and all.
func (j *job) clockNames(s clockService) (first string, all []string) {
	names := s.scripts
	if j.env.Init == "systemd" {
		names = s.units
	}
	for _, name := range names {
		there := j.exists(path.Join("/etc/init.d", name))
		if j.env.Init == "systemd" {
			_, there = j.findUnit(name)
		}
		if there && first == "" {
			first = name
		}
	}
	return first, names
}

// chooseScript does under OpenRC what choose does under systemd.
func (j *job) chooseScript(winner string, losers []string) error {
	for _, name := range losers {
		for _, level := range j.names("/etc/runlevels") {
			if err := j.remove(path.Join("/etc/runlevels", level, name)); err != nil {
				return err
			}
		}
	}
	if winner == "" {
		return nil
	}
	return j.symlink("/etc/init.d/"+winner, "/etc/runlevels/default/"+winner, attr{mode: 0o777})
}

func (j *job) existsAny(names []string) bool {
	for _, name := range names {
		if j.exists(name) {
			return true
		}
	}
	return false
}

func (j *job) timesyncdServers(servers []string) error {
	return j.writeText("/etc/systemd/timesyncd.conf.d/50-slipway.conf", "[Time]\nNTP="+strings.Join(servers, " ")+"\n", plainFile)
}

func (j *job) chronyServers(servers []string) error {
	return j.replaceLines([]string{"/etc/chrony/chrony.conf", "/etc/chrony.conf"},
		[]string{"server", "pool", "peer", "initstepslew"}, servers, "server %s iburst")
}

// openntpdServers drops the constraints as well: hosts on the web that are asked
// whether the time servers can be right.
func (j *job) openntpdServers(servers []string) error {
	return j.replaceLines([]string{"/etc/openntpd/ntpd.conf", "/etc/ntpd.conf"},
		[]string{"server", "servers", "constraint", "constraints"}, servers, "server %s")
}

// busyboxServers: -N gives it priority, as Alpine has it.
func (j *job) busyboxServers(servers []string) error {
	return j.writeText("/etc/conf.d/ntpd", fmt.Sprintf("NTPD_OPTS=\"-N -p %s\"\n", strings.Join(servers, " -p ")), plainFile)
}

// replaceLines puts lines in place of those of a configuration that begin with
// one of the words: where the first of them stood, else at the end.
func (j *job) replaceLines(files, words, values []string, form string) error {
	for _, file := range files {
		if !j.exists(file) {
			continue
		}
		text, err := j.readFile(file)
		if err != nil {
			return err
		}
		return j.rewrite(file, []byte(replacedLines(string(text), words, values, form)), plainFile)
	}
	return fmt.Errorf("there is no %s", strings.Join(files, " or "))
}
