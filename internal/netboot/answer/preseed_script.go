package answer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/distro/deb"
	"slipway/internal/machine"
)

// wget fetches and posts in debian-installer, whose tools are busybox's.
const (
	wgetGet  = "wget -q -T 20 -O /dev/null"
	wgetPost = "wget -q -T 60 -O /dev/null --post-file=%s %s"
)

// fetchAndRun is one line of a shell, as the installer's commands are.
func fetchAndRun(f Facts, name string) string {
	path := "/tmp/slipway-" + name
	return fmt.Sprintf("wget -q -T 20 -O %s %s && sh %s", path, quote(f.Base+name), path)
}

// scripts writes what the installer runs at its four moments.
func (p *pre) scripts() {
	p.say("preseed/early_command", "string", fetchAndRun(p.f, "early.sh"))
	p.say("preseed/late_command", "string", fetchAndRun(p.f, "late.sh"))
	p.script("early.sh", p.early())
	p.script("disk.sh", p.diskScript())
	s := newSetup(p.d)
	s.accounts(func(u machine.User) bool { return u.Name == "root" })
	s.keys(nil)
	s.sudo()
	s.files()
	if !simple(p.d) {
		s.text("/etc/network/interfaces", "0644", interfaces(p.d))
	}
	s.kernel()
	s.services()
	s.run()
	p.sources(s)
	if t := p.d.Boot.Timeout; t > 0 {
		s.line("sed -i 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=%d/' /etc/default/grub; update-grub", t)
	}
	p.err = errors.Join(append(s.errs, p.err)...)
	secrets := secretFiles(s)
	p.script("late.sh", p.late(secrets))
	p.script("setup.sh", s.out.String())
	p.files = append(p.files, secrets...)
}

func (p *pre) script(name, text string) {
	p.files = append(p.files, File{Name: name, Type: "text/x-shellscript", Data: []byte(text), Secret: name == "setup.sh"})
}

// early reports that the installer runs, and leaves hooks that report how it
// gets on.
func (p *pre) early() string {
	var b strings.Builder
	fmt.Fprintln(&b, report(p.f, wgetGet, "installer", "debian-installer"))
	if p.f.Report == "" {
		return b.String()
	}
	for _, hook := range []struct{ dir, stage, text string }{
		{"base-installer.d", "base", "installing the base system"},
		{"post-base-installer.d", "packages", "the base system is installed"},
		{"finish-install.d", "finishing", "the last step"},
	} {
		path := "/usr/lib/" + hook.dir + "/01slipway"
		fmt.Fprintf(&b, "mkdir -p /usr/lib/%s\ncat >%s <<'SLIPWAY-END'\n#!/bin/sh\n%s\nSLIPWAY-END\nchmod 755 %s\n",
			hook.dir, path, report(p.f, wgetGet, hook.stage, hook.text), path)
	}
	return b.String()
}

// diskScript chooses the disk, or stops the installation before anything is
// written: a command that fails is an error of the installer.
func (p *pre) diskScript() string {
	return fmt.Sprintf(`fail() {
	logger -t slipway "no disk was chosen: $why"
	%s
	%s
	exit 1
}
%sdebconf-set partman-auto/disk "$disk"
debconf-set grub-installer/bootdev "$disk"
logger -t slipway "installing on $disk"
%s
`, reportWhy(p.f, wgetGet), sendLog(p.f, wgetPost, "syslog", "/var/log/syslog"), findDisk(p.f), report(p.f, wgetGet, "partition", "the disk is chosen"))
}

// late finishes the system from outside, then from inside.
func (p *pre) late(secrets []File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "fail() {\n\twhy=\"the installed system could not be finished\"\n\t%s\n\t%s\n\texit 1\n}\n",
		sendLog(p.f, wgetPost, "syslog", "/var/log/syslog"), reportWhy(p.f, wgetGet))
	if len(secrets) > 0 {
		fmt.Fprintf(&b, "umask 077\nmkdir -p /target%s\n", secretDir)
	}
	for _, f := range secrets {
		fmt.Fprintf(&b, "wget -q -T 60 -O /target%s/%s %s || fail\n", secretDir, strings.TrimPrefix(f.Name, "file/"), quote(p.f.Base+f.Name))
	}
	fmt.Fprintf(&b, "umask 077\nwget -q -T 60 -O /target/root/slipway-setup %s || fail\n", quote(p.f.Base+"setup.sh"))
	b.WriteString("in-target sh /root/slipway-setup || fail\nrm -f /target/root/slipway-setup\n")
	b.WriteString(sendLog(p.f, wgetPost, "syslog", "/var/log/syslog") + "\n")
	b.WriteString(report(p.f, wgetGet, "installed", p.d.Name) + "\n")
	return b.String()
}

// sources writes what the machine's own apt is told, the same as in a machine
// that slipway builds.
func (p *pre) sources(s *setup) {
	files, err := deb.AptFiles(p.d)
	if err != nil {
		p.err = errors.Join(p.err, err)
		return
	}
	s.line("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.encoded("/"+name, []byte(files[name]))
	}
}
