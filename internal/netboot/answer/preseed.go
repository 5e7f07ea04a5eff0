package answer

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/machine"
)

// pre writes one preseed file.
type pre struct {
	refusals
	f     Facts
	out   strings.Builder
	files []File
	err   error
}

// say answers a question of the installer itself.
func (p *pre) say(question, kind, value string) {
	fmt.Fprintf(&p.out, "d-i %s %s %s\n", question, kind, value)
}

// preseed renders for debian-installer. What its questions do not cover is done
// by scripts that it fetches: disk.sh before the disk is written, late.sh and
// setup.sh at the end.
func preseed(d *machine.Definition, f Facts) ([]File, error) {
	p := &pre{refusals: refusals{d: d, format: "a preseed"}, f: f}
	p.keys("init", "base", "packages", "recommends", "repositories", "debconf", "files", "users", "services", "hostname",
		"timezone", "locale", "sysctl", "mounts", "network", "run", "kernel", "disk", "boot", "sources")
	if d.Distribution() != "debian" {
		p.at("system", d.System, "debian-installer installs debian", "choose another kind of installer")
	}
	if f.Base == "" {
		return nil, fmt.Errorf("rendering a preseed for %s: its scripts are fetched, and no base address is known", d.Name)
	}
	p.boot()
	p.disk("ext4", "xfs", "btrfs", "vfat")
	fmt.Fprintf(&p.out, "# %s, for debian-installer. Written by slipway on request; changes belong into the definition.\n", d.Name)
	for _, part := range []func(){p.place, p.network, p.mirror, p.accounts, p.partman, p.base, p.programs, p.debconf, p.end} {
		part()
	}
	p.scripts()
	if err := errors.Join(p.err, p.refusals.err()); err != nil {
		return nil, err
	}
	return append([]File{{Name: Preseed.Name(), Type: "text/plain", Data: []byte(p.out.String()), Secret: true}}, p.files...), nil
}

func (p *pre) place() {
	p.say("debian-installer/locale", "string", installerLocale(p.d))
	p.say("keyboard-configuration/xkb-keymap", "select", or(p.f.Keyboard, "us"))
	p.say("clock-setup/utc", "boolean", "true")
	p.say("clock-setup/ntp", "boolean", "false")
	p.say("time/zone", "string", or(p.d.Timezone, "Etc/UTC"))
}

func installerLocale(d *machine.Definition) string { return or(d.Locale, "en_US.UTF-8") }

// mirror is where packages come from while it installs.
func (p *pre) mirror() {
	main := strings.TrimSuffix(or(p.f.Mirror, or(p.d.Mirror.Main, archive.Debian.Official.Main)), "/")
	u, err := url.Parse(main)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		p.at("mirror", "", "debian-installer needs an http or https address without a password", "")
		return
	}
	if p.d.Mirror.None {
		p.at("mirror", "none", "debian-installer installs from the distribution's archive", "name its base address")
	}
	p.say("mirror/country", "string", "manual")
	p.say("mirror/protocol", "select", u.Scheme)
	p.say("mirror/"+u.Scheme+"/hostname", "string", u.Host)
	p.say("mirror/"+u.Scheme+"/directory", "string", or(u.Path, "/"))
	p.say("mirror/"+u.Scheme+"/proxy", "string", "")
	p.say("mirror/suite", "string", p.d.Release())
	p.security()
	p.say("apt-setup/cdrom/set-first", "boolean", "false")
	p.say("apt-setup/enable-source-repositories", "boolean", "false")
	p.say("apt-setup/non-free-firmware", "boolean", "false")
	for i, r := range p.d.Repositories {
		p.repository(i, r)
	}
}

// security is on, except through the installation's own mirror, whose address
// says nothing about another archive; the machine's own sources have it always.
func (p *pre) security() {
	if p.f.Mirror != "" {
		p.say("apt-setup/services-select", "multiselect", "")
		return
	}
	p.say("apt-setup/services-select", "multiselect", "security, updates")
	m := archive.Mirror{Main: p.d.Mirror.Main, Security: p.d.Mirror.Security}
	base := archive.Debian.Official.Security
	if m.Main != "" {
		base = archive.Debian.Security(m)[0]
	}
	if u, err := url.Parse(base); err == nil {
		p.say("apt-setup/security_host", "string", u.Host)
		p.say("apt-setup/security_path", "string", u.Path)
	}
}

// repository is there while packages are chosen; the machine's own sources are
// written at the end.
func (p *pre) repository(i int, r machine.Repository) {
	key := fmt.Sprintf("repositories.%d", i)
	data, err := os.ReadFile(r.SignedBy)
	if r.SignedBy == "" {
		p.at(key, r.URL, "an archive without signed_by is not trusted", "name the key file that signed it")
		return
	}
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("%s: reading signed_by of the repository %s: %w", p.d.At(key), r.URL, err))
		return
	}
	if strings.HasPrefix(r.URL, "file:") {
		p.at(key+".url", r.URL, "the installed machine has no such folder", "serve it by http")
	}
	name := fmt.Sprintf("key-%d.asc", i)
	p.files = append(p.files, File{Name: name, Type: "application/pgp-keys", Data: data})
	p.say(fmt.Sprintf("apt-setup/local%d/repository", i), "string", strings.TrimSpace(fmt.Sprintf("%s %s %s", r.URL, r.Suite, strings.Join(r.Components, " "))))
	p.say(fmt.Sprintf("apt-setup/local%d/key", i), "string", p.f.Base+name)
}

// accounts: root alone is the installer's; useradd makes the others later, each
// as the definition says.
func (p *pre) accounts() {
	hash := ""
	for i, u := range p.d.Users {
		if u.Name != "root" {
			continue
		}
		var err error
		if hash, err = passwordOf(u); err != nil {
			p.err = errors.Join(p.err, fmt.Errorf("%s: reading the password of user root: %w", p.d.At(fmt.Sprintf("users.%d", i)), err))
		}
	}
	p.say("passwd/make-user", "boolean", "false")
	p.say("passwd/root-login", "boolean", "true")
	p.say("passwd/root-password-crypted", "password", or(hash, "!"))
}

// base is the system without the definition's packages.
func (p *pre) base() {
	if b := p.d.Base; p.d.Set["base"] != (machine.Position{}) && b != "important" && b != "standard" {
		p.at("base", b, "debian-installer's base system is important", "write important or standard")
	}
	p.say("base-installer/install-recommends", "boolean", fmt.Sprint(p.d.Recommends))
	if k := p.d.Kernels()[0].Package; k != "auto" && k != "" {
		p.say("base-installer/kernel/image", "string", k)
	}
}

func (p *pre) programs() {
	tasks := ""
	if p.d.Base == "standard" {
		tasks = "standard"
	}
	fmt.Fprintf(&p.out, "tasksel tasksel/first multiselect %s\n", tasks)
	names := []string{}
	for i, name := range p.d.Packages {
		if machine.IsLocalPackage(name) {
			p.at(fmt.Sprintf("packages.%d", i), name, "an installer cannot take a package of this host", "serve it from a repository")
			continue
		}
		if base, suite, ok := strings.Cut(name, "/"); ok && suite == "backports" {
			p.at(fmt.Sprintf("packages.%d", i), name, "debian-installer knows no backports while it installs", "install "+base+" in run, with network: true")
			continue
		}
		names = append(names, name)
	}
	for _, name := range p.implied() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		p.say("pkgsel/include", "string", strings.Join(names, " "))
	}
	p.say("pkgsel/upgrade", "select", "none")
	p.say("pkgsel/update-policy", "select", "none")
	fmt.Fprintln(&p.out, "popularity-contest popularity-contest/participate boolean false")
}

// implied are packages that other keys need.
func (p *pre) implied() []string {
	var out []string
	for _, u := range p.d.Users {
		if len(u.SSHKeys) > 0 {
			out = append(out, "openssh-server")
		}
		if u.Sudo != "" {
			out = append(out, "sudo")
		}
	}
	for _, n := range p.d.Network {
		if n.Bond != nil {
			out = append(out, "ifenslave")
		}
	}
	return out
}

// debconf answers the questions of packages.
func (p *pre) debconf() {
	for _, question := range slices.Sorted(maps.Keys(p.d.Debconf)) {
		owner, rest, both := strings.Cut(question, " ")
		if !both {
			rest = question
			owner, _, _ = strings.Cut(question, "/")
		}
		value := p.d.Debconf[question]
		kind := "string"
		if value == "true" || value == "false" {
			kind = "boolean"
		}
		if strings.Contains(value, "\n") {
			p.unable("debconf."+question, "a preseed has one line for each answer; answer it in run with debconf-set-selections")
			continue
		}
		fmt.Fprintf(&p.out, "%s %s %s %s\n", owner, rest, kind, value)
	}
}

// end is the loader and the last step.
func (p *pre) end() {
	p.say("grub-installer/only_debian", "boolean", "true")
	p.say("grub-installer/with_other_os", "boolean", "false")
	p.say("grub-installer/force-efi-extra-removable", "boolean", "true")
	if words := kernelWords(p.d); len(words) > 0 {
		p.say("debian-installer/add-kernel-opts", "string", strings.Join(words, " "))
	}
	p.say("finish-install/reboot_in_progress", "note", "")
	p.say("finish-install/keep-consoles", "boolean", "true")
	p.say("debian-installer/exit/halt", "boolean", "false")
}

// kernelWords are what a definition adds to the kernel's command line.
func kernelWords(d *machine.Definition) []string {
	var out []string
	for _, c := range d.Boot.Console {
		out = append(out, "console="+c)
	}
	return append(out, d.Kernels()[0].Cmdline...)
}
