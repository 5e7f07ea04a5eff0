package answer

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"slipway/internal/machine"
)

// ks writes one kickstart.
type ks struct {
	refusals
	f   Facts
	out strings.Builder
	err error // of something that could not be read
}

func (k *ks) line(format string, args ...any) { fmt.Fprintf(&k.out, format+"\n", args...) }

// kickstart renders for Anaconda as RHEL 9 has it.
func kickstart(d *machine.Definition, f Facts) ([]File, error) {
	k := &ks{refusals: refusals{d: d, format: "a kickstart"}, f: f}
	k.keys("init", "base", "packages", "recommends", "repositories", "files", "users", "services", "hostname", "timezone",
		"locale", "sysctl", "mounts", "network", "run", "kernel", "disk", "boot")
	if d.Family() != "rpm" {
		k.at("system", d.System, "Anaconda installs alma, rocky and fedora", "choose another kind of installer")
	}
	k.boot()
	k.disk("ext4", "xfs", "btrfs", "vfat")
	k.line("# %s, for Anaconda. Written by slipway on request; changes belong into the definition.", d.Name)
	k.line("text\nreboot")
	k.source()
	k.place()
	k.network()
	k.disks()
	k.users()
	k.programs()
	files := k.scripts()
	if err := errors.Join(k.err, k.refusals.err()); err != nil {
		return nil, err
	}
	return append([]File{{Name: Kickstart.Name(), Type: "text/plain", Data: []byte(k.out.String()), Secret: true}}, files...), nil
}

// trees are where distributions keep what Anaconda installs from; REL and ARCH
// are filled in. A definition's mirror replaces the base.
var trees = map[string]struct {
	base, path string
	more       [][2]string // further repositories: name, path
}{
	"alma":   {"https://repo.almalinux.org/almalinux", "REL/BaseOS/ARCH/os/", [][2]string{{"AppStream", "REL/AppStream/ARCH/os/"}}},
	"rocky":  {"https://dl.rockylinux.org/pub/rocky", "REL/BaseOS/ARCH/os/", [][2]string{{"AppStream", "REL/AppStream/ARCH/os/"}}},
	"fedora": {"https://dl.fedoraproject.org/pub/fedora/linux", "releases/REL/Everything/ARCH/os/", [][2]string{{"updates", "updates/REL/Everything/ARCH/"}}},
}

// rpmArch are rpm's names of architectures.
var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "ppc64el": "ppc64le", "i386": "i686", "armhf": "armv7hl"}

// Tree is the address of what Anaconda installs a definition's system from.
func Tree(d *machine.Definition, f Facts) string {
	row := trees[d.Distribution()]
	return treeURL(d, f, row.base, row.path)
}

func treeURL(d *machine.Definition, f Facts, base, path string) string {
	base = or(f.Mirror, or(d.Mirror.Main, base))
	path = strings.NewReplacer("REL", d.Release(), "ARCH", or(rpmArch[d.Arch], d.Arch)).Replace(path)
	return strings.TrimSuffix(base, "/") + "/" + path
}

func (k *ks) source() {
	if k.d.Mirror.None {
		k.at("mirror", "none", "Anaconda installs from the distribution's tree", "name its base address")
	}
	row := trees[k.d.Distribution()]
	k.line("url --url=%s", quote(Tree(k.d, k.f)))
	for _, r := range row.more {
		k.line("repo --name=%s --baseurl=%s", quote(r[0]), quote(treeURL(k.d, k.f, row.base, r[1])))
	}
	for i, r := range k.d.Repositories {
		key := fmt.Sprintf("repositories.%d", i)
		if r.SignedBy != "" {
			k.unable(key+".signed_by", "put the repository's file and key below /etc/yum.repos.d and /etc/pki/rpm-gpg with files")
		}
		if r.Suite != "" || len(r.Components) > 0 {
			k.unable(key+".suite", "an rpm repository is one address")
		}
		if strings.HasPrefix(r.URL, "file:") {
			k.at(key+".url", r.URL, "the installed machine has no such folder", "serve it by http")
		}
		line := fmt.Sprintf("repo --name=%s --baseurl=%s --install", quote(or(r.Name, fmt.Sprintf("slipway-%d", i))), quote(r.URL))
		if r.Priority != 0 {
			line += fmt.Sprintf(" --cost=%d", r.Priority)
		}
		k.line("%s", line)
	}
}

// place is language, keyboard and time.
func (k *ks) place() {
	k.line("lang %s", quote(or(k.d.Locale, "en_US.UTF-8")))
	k.line("keyboard --xlayouts=%s", quote(or(k.f.Keyboard, "us")))
	k.line("timezone %s --utc", quote(or(k.d.Timezone, "Etc/UTC")))
	if has(k.d.Services.Enable, "initial-setup") {
		k.line("firstboot --enable")
	} else {
		k.line("firstboot --disable")
	}
}

// programs is what is installed and what starts.
func (k *ks) programs() {
	var enable []string
	kdump := false
	for _, s := range k.d.Services.Enable {
		switch strings.TrimSuffix(s, ".service") {
		case "kdump": // it needs memory set aside, which the add-on does
			kdump = true
		case "initial-setup": // that is firstboot
		default:
			enable = append(enable, s)
		}
	}
	if len(enable)+len(k.d.Services.Disable) > 0 {
		line := "services"
		if len(k.d.Services.Disable) > 0 {
			line += " --disabled=" + strings.Join(k.d.Services.Disable, ",")
		}
		if len(enable) > 0 {
			line += " --enabled=" + strings.Join(enable, ",")
		}
		k.line("%s", line)
	}
	k.packages()
	if kdump {
		k.line("\n%%addon com_redhat_kdump --enable --reserve-mb='auto'\n%%end")
	} else {
		k.line("\n%%addon com_redhat_kdump --disable\n%%end")
	}
}

// packages is the section of that name: the base is an environment of groups.
func (k *ks) packages() {
	weak := " --exclude-weakdeps"
	if k.d.Recommends {
		weak = ""
	}
	k.line("\n%%packages%s", weak)
	base := or(k.d.Base, "minimal-environment")
	if base == "none" {
		base = "core"
	}
	if strings.HasSuffix(base, "-environment") {
		k.line("@^%s", base)
	} else {
		k.line("@%s", base)
	}
	if has(k.d.Services.Enable, "initial-setup") {
		k.line("initial-setup")
	}
	for _, u := range k.d.Users {
		if u.Sudo != "" {
			k.line("sudo")
			break
		}
	}
	if p := k.d.Kernels()[0].Package; p != "auto" && p != "" {
		k.line("%s", p)
	}
	for i, p := range k.d.Packages {
		key := fmt.Sprintf("packages.%d", i)
		switch name, version, pinned := strings.Cut(p, "="); {
		case machine.IsLocalPackage(p):
			k.at(key, p, "an installer cannot take a package of this host", "serve it from a repository")
		case strings.Contains(p, "/"):
			k.at(key, p, "rpm packages have no suites", "write name or name=version")
		case pinned:
			k.line("%s-%s", name, version)
		default:
			k.line("%s", strings.ReplaceAll(p, ":", "."))
		}
	}
	k.line("%%end")
}

// users are made by Anaconda, but for system accounts.
func (k *ks) users() {
	root := "rootpw --lock"
	for i, u := range k.d.Users {
		hash, err := passwordOf(u)
		if err != nil {
			k.err = errors.Join(k.err, fmt.Errorf("%s: reading the password of user %s: %w", k.d.At(fmt.Sprintf("users.%d", i)), u.Name, err))
		}
		if u.Name == "root" {
			if hash != "" {
				root = "rootpw --iscrypted " + quote(hash)
			}
		} else if native(u) {
			k.user(fmt.Sprintf("users.%d", i), u, hash)
		}
		lines, err := keysOf(u)
		if err != nil {
			k.err = errors.Join(k.err, fmt.Errorf("%s: reading an ssh key of user %s: %w", k.d.At(fmt.Sprintf("users.%d", i)), u.Name, err))
		}
		for _, line := range lines {
			if !u.System {
				k.line("sshkey --username=%s %s", quote(u.Name), dquote(line))
			}
		}
	}
	k.line("%s", root)
}

// native tells whether Anaconda makes a user.
func native(u machine.User) bool { return !u.System }

func (k *ks) user(key string, u machine.User, hash string) {
	line := "user --name=" + quote(u.Name)
	add := func(flag, value string) {
		if value != "" {
			line += " --" + flag + "=" + quote(value)
		}
	}
	if len(u.Groups) > 0 {
		line += " --groups=" + strings.Join(u.Groups, ",")
	}
	add("homedir", u.Home)
	add("shell", u.Shell)
	if u.UID != nil {
		add("uid", fmt.Sprint(*u.UID))
	}
	add("gecos", u.Comment)
	if hash != "" {
		line += " --password=" + quote(hash) + " --iscrypted"
	} else {
		line += " --lock"
	}
	k.line("%s", line)
	if u.Group != "" {
		k.at(key+".group", u.Group, "a kickstart makes users with a group of their own name", "write it in groups")
	}
}

// dquote writes a text between double quotes, as kickstart's own examples do.
func dquote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// report is a command that tells the server what happens; it never fails.
func report(f Facts, fetch, stage, text string) string {
	if f.Report == "" {
		return "true"
	}
	sep := "?"
	if strings.Contains(f.Report, "?") {
		sep = "&"
	}
	return fmt.Sprintf("%s %s || true", fetch, quote(f.Report+sep+"stage="+stage+"&text="+url.QueryEscape(text)))
}

// sendLog is a command that posts a log; it never fails.
func sendLog(f Facts, post, name, path string) string {
	if f.Logs == "" {
		return "true"
	}
	sep := "?"
	if strings.Contains(f.Logs, "?") {
		sep = "&"
	}
	return fmt.Sprintf(post+" || true", path, quote(f.Logs+sep+"name="+name))
}
