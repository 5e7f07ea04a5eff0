package answer

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/cloud"
)

// quote makes one word of a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// setup is a script for the POSIX shell that finishes an installed system, run
// inside it as root: what the installer's own words do not say.
type setup struct {
	d    *machine.Definition
	out  strings.Builder
	errs []error
	// secrets are the contents of secret files; the caller puts them at
	// secretDir/INDEX before the script runs.
	secrets map[int][]byte
	shell   string // of users that name none
}

// secretDir is where secret contents wait in the installed system.
const secretDir = "/root/.slipway"

func newSetup(d *machine.Definition) *setup {
	s := &setup{d: d, secrets: map[int][]byte{}, shell: "/bin/bash"}
	s.line("set -eu")
	s.line("umask 022")
	return s
}

func (s *setup) line(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// text writes a file of some lines.
func (s *setup) text(name, mode, content string) {
	s.line("mkdir -p %s", quote(path.Dir(name)))
	s.line("cat >%s <<'SLIPWAY-END'\n%s\nSLIPWAY-END", quote(name), strings.TrimSuffix(content, "\n"))
	s.line("chmod %s %s", mode, quote(name))
}

// accounts makes users, unless the installer makes them itself.
func (s *setup) accounts(native func(machine.User) bool) {
	for i, u := range s.d.Users {
		if native == nil || !native(u) {
			hash, err := passwordOf(u)
			if err != nil {
				s.errs = append(s.errs, fmt.Errorf("%s: reading the password of user %s: %w", s.d.At(fmt.Sprintf("users.%d", i)), u.Name, err))
			}
			s.account(u, hash)
		}
	}
}

func (s *setup) account(u machine.User, hash string) {
	name := quote(u.Name)
	common := ""
	add := func(flag, value string) {
		if value != "" {
			common += " " + flag + " " + quote(value)
		}
	}
	if u.UID != nil {
		add("-u", fmt.Sprint(*u.UID))
	}
	add("-g", u.Group)
	add("-G", strings.Join(u.Groups, ","))
	add("-d", u.Home)
	add("-c", u.Comment)
	add("-p", hash)
	change := common
	if len(u.Groups) > 0 {
		change = " -a" + change
	}
	if u.Shell != "" {
		common, change = common+" -s "+quote(u.Shell), change+" -s "+quote(u.Shell)
	} else if !u.System {
		common += " -s " + s.shell
	}
	if u.System {
		common += " -r"
	} else {
		common += " -m"
	}
	if u.Group == "" {
		common += " -U"
	}
	if change == "" {
		change = " -c ''"
	}
	s.line("if id %s >/dev/null 2>&1; then usermod%s %s; else useradd%s %s; fi", name, change, name, common, name)
}

// keys lets ssh keys in.
func (s *setup) keys(native func(machine.User) bool) {
	for i, u := range s.d.Users {
		if native != nil && native(u) {
			continue
		}
		lines, err := keysOf(u)
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("%s: reading an ssh key of user %s: %w", s.d.At(fmt.Sprintf("users.%d", i)), u.Name, err))
		}
		if len(lines) == 0 {
			continue
		}
		s.line("home=$(getent passwd %s | cut -d: -f6)", quote(u.Name))
		s.line(`mkdir -p "$home/.ssh"`)
		s.line("cat >>\"$home/.ssh/authorized_keys\" <<'SLIPWAY-END'\n%s\nSLIPWAY-END", strings.Join(lines, "\n"))
		s.line(`chmod 700 "$home/.ssh"; chmod 600 "$home/.ssh/authorized_keys"; chown -R %s: "$home/.ssh"`, quote(u.Name))
	}
}

// sudo writes the rights of users.
func (s *setup) sudo() {
	for _, u := range s.d.Users {
		if rights := sudoRights(u); rights != "" {
			s.text("/etc/sudoers.d/slipway-"+strings.NewReplacer(".", "_", "$", "_").Replace(u.Name), "0440", u.Name+" "+rights)
		}
	}
}

func sudoRights(u machine.User) string {
	switch u.Sudo {
	case "nopasswd":
		return "ALL=(ALL:ALL) NOPASSWD: ALL"
	case "password":
		return "ALL=(ALL:ALL) ALL"
	}
	return ""
}

// files puts files in place. Contents of secrets wait in secretDir.
func (s *setup) files() {
	for i, f := range s.d.Files {
		name := path.Clean(f.Path)
		key := fmt.Sprintf("files.%d", i)
		if f.Link != "" {
			s.line("mkdir -p %s; ln -sfn %s %s", quote(path.Dir(name)), quote(f.Link), quote(name))
			continue
		}
		data, err := cloud.Content(f)
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("%s: reading the content of %s: %w", s.d.At(key), f.Path, err))
			continue
		}
		s.line("mkdir -p %s", quote(path.Dir(name)))
		mode := or(f.Mode, "0644")
		if f.Secret != nil {
			mode = or(f.Mode, "0600")
			s.secrets[i] = data
			s.line("install -m 0600 %s/%d %s", secretDir, i, quote(name))
		} else {
			s.encoded(name, data)
		}
		s.line("chown %s %s; chmod %s %s", quote(or(f.Owner, "root:root")), quote(name), mode, quote(name))
	}
	if len(s.secrets) > 0 {
		s.line("rm -rf %s", secretDir)
	}
}

// encoded writes a file of any bytes.
func (s *setup) encoded(name string, data []byte) {
	s.line("base64 -d >%s <<'SLIPWAY-END'\n%s\nSLIPWAY-END", quote(name), wrap(base64.StdEncoding.EncodeToString(data), 76))
}

func wrap(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width])
		b.WriteByte('\n')
		s = s[width:]
	}
	b.WriteString(s)
	return b.String()
}

// kernel writes settings of the kernel and mounts.
func (s *setup) kernel() {
	if len(s.d.Sysctl) > 0 {
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(s.d.Sysctl)) {
			fmt.Fprintf(&b, "%s = %s\n", k, s.d.Sysctl[k])
		}
		s.text("/etc/sysctl.d/60-slipway.conf", "0644", b.String())
	}
	for _, m := range s.d.Mounts {
		if m.Where != "none" {
			s.line("mkdir -p %s", quote(m.Where))
		}
		s.line("printf '%%s\\n' %s >>/etc/fstab", quote(fmt.Sprintf("%s %s %s %s 0 %d", m.What, m.Where, or(m.Type, "auto"), or(m.Options, "defaults"), 0)))
	}
	for _, k := range s.d.Kernel {
		if len(k.Modules) == 0 {
			continue
		}
		if s.d.Family() == "rpm" {
			s.text("/etc/dracut.conf.d/slipway.conf", "0644", fmt.Sprintf("add_drivers+=\" %s \"", strings.Join(k.Modules, " ")))
			s.line("dracut --regenerate-all --force")
			continue
		}
		s.line("printf '%%s\\n' %s >>/etc/initramfs-tools/modules", strings.Join(k.Modules, " "))
		s.line("update-initramfs -u")
	}
}

// services switches services on and off.
func (s *setup) services() {
	for _, list := range []struct {
		verb  string
		names []string
	}{{"enable", s.d.Services.Enable}, {"disable", s.d.Services.Disable}} {
		if s.d.InitSystem() == "openrc" {
			for _, name := range list.names {
				s.line("rc-update %s %s default", map[string]string{"enable": "add", "disable": "del"}[list.verb], name)
			}
		} else if len(list.names) > 0 {
			s.line("systemctl %s %s", list.verb, strings.Join(list.names, " "))
		}
	}
}

// run adds the definition's commands; those that ask for no network get none.
func (s *setup) run() {
	for _, c := range s.d.Run {
		if c.Network {
			s.line("/bin/sh -c %s", quote(c.Command))
		} else {
			s.line("unshare -n /bin/sh -c %s", quote(c.Command))
		}
	}
}

// passwordOf is the crypt(3) hash of a user, "" for a locked one.
func passwordOf(u machine.User) (string, error) {
	if u.Password == nil {
		return "", nil
	}
	hash, err := cloud.Secret(machine.Secret{File: u.Password.HashFile, Env: u.Password.HashEnv})
	text := strings.TrimSpace(string(hash))
	if err == nil && (strings.ContainsAny(text, ": \t\n'\"") || text == "") {
		return "", fmt.Errorf("it is no crypt(3) hash: one line without spaces, such as openssl passwd -6 prints")
	}
	return text, err
}

// keysOf are the lines of a user's authorized_keys.
func keysOf(u machine.User) ([]string, error) {
	var out []string
	for _, key := range u.SSHKeys {
		lines, err := cloud.PublicKeys(key)
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	return out, nil
}
