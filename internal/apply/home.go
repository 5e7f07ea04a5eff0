package apply

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"slipway/internal/machine"
)

// furnish gives an account its home, keys and rights.
func (j *job) furnish(acc account) error {
	if acc.isNew && (!acc.user.System || acc.user.Home != "") {
		if err := j.makeHome(acc); err != nil {
			return err
		}
	}
	if len(acc.user.SSHKeys) > 0 {
		if err := j.authorize(acc); err != nil {
			return err
		}
	}
	return j.sudoer(acc.user)
}

// makeHome makes the home folder and fills it from the skeleton; one that is
// there is left alone.
func (j *job) makeHome(acc account) error {
	if j.exists(acc.home) {
		return nil
	}
	if err := j.mkdir(acc.home, attr{j.homeMode(), acc.uid, acc.gid}); err != nil {
		return err
	}
	if acc.user.System {
		return nil
	}
	return j.copySkeleton("/etc/skel", acc.home, acc)
}

// homeMode is HOME_MODE of login.defs, else private to the user.
func (j *job) homeMode() uint32 {
	defs, err := j.readFile("/etc/login.defs")
	if err == nil {
		if m := regexp.MustCompile(`(?m)^HOME_MODE\s+([0-7]+)\s*$`).FindSubmatch(defs); m != nil {
			if mode, err := strconv.ParseUint(string(m[1]), 8, 12); err == nil {
				return uint32(mode)
			}
		}
	}
	return 0o700
}

// copySkeleton copies a folder of the tree, giving everything to the account.
func (j *job) copySkeleton(from, to string, acc account) error {
	entries, err := j.readDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst, a := path.Join(from, e.name), path.Join(to, e.name), attr{e.mode & 0o7777, acc.uid, acc.gid}
		switch {
		case e.isDir():
			if err = j.mkdir(dst, a); err == nil {
				err = j.copySkeleton(src, dst, acc)
			}
		case e.isLink():
			var target string
			if target, err = j.readLink(src); err == nil {
				err = j.symlink(target, dst, a)
			}
		case e.isFile():
			var data []byte
			if data, err = j.readFile(src); err == nil {
				err = j.writeFile(dst, bytes.NewReader(data), a)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// authorize writes the keys that may log in.
func (j *job) authorize(acc account) error {
	keys, err := readKeys(acc.user.SSHKeys)
	if err != nil {
		return err
	}
	if acc.home == "" || acc.home == "/nonexistent" {
		return errors.New("ssh_keys need a home: set home")
	}
	dir := path.Join(acc.home, ".ssh")
	if err := j.mkdir(dir, attr{0o700, acc.uid, acc.gid}); err != nil {
		return err
	}
	return j.writeText(path.Join(dir, "authorized_keys"), keys, attr{0o600, acc.uid, acc.gid})
}

// keyLine finds a public key's type, which options may precede.
var keyLine = regexp.MustCompile(`(^|\s)(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)\s+AAAA[0-9A-Za-z+/]+=*(\s|$)`)

// readKeys collects public keys from files and literals, one a line.
func readKeys(from []string) (string, error) {
	var out strings.Builder
	for _, k := range from {
		text, source := k, "the literal key"
		if !keyLine.MatchString(k) {
			data, err := os.ReadFile(k)
			if err != nil {
				return "", fmt.Errorf("reading the public key: %w", err)
			}
			text, source = string(data), k
		}
		if strings.Contains(text, "PRIVATE KEY") {
			return "", fmt.Errorf("%s is a private key; give the public one (%s.pub)", source, k)
		}
		found := false
		for _, line := range strings.Split(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if !keyLine.MatchString(line) {
				return "", fmt.Errorf("%s holds a line that is no public key: %.40q", source, line)
			}
			out.WriteString(line + "\n")
			found = true
		}
		if !found {
			return "", fmt.Errorf("%s holds no public key", source)
		}
	}
	return out.String(), nil
}

// sudoer lets a user become root.
func (j *job) sudoer(u machine.User) error {
	rule := ""
	switch u.Sudo {
	case "":
		return nil
	case "nopasswd":
		rule = u.Name + " ALL=(ALL:ALL) NOPASSWD: ALL\n"
	case "password":
		rule = u.Name + " ALL=(ALL:ALL) ALL\n"
	default:
		return fmt.Errorf("sudo is %q; it may be nopasswd or password", u.Sudo)
	}
	if !j.isDir("/etc/sudoers.d") {
		if j.exists("/usr/bin/doas") {
			return j.doer(u)
		}
		return errors.New("the machine has no /etc/sudoers.d; add the package sudo")
	}
	// sudo ignores names with a dot.
	name := "/etc/sudoers.d/slipway-" + strings.NewReplacer(".", "_", "$", "_").Replace(u.Name)
	return j.writeText(name, rule, attr{mode: 0o440})
}

// doer lets a user become root by doas(1), where the machine has no sudo.
func (j *job) doer(u machine.User) error {
	rule := "permit persist " + u.Name + " as root\n"
	if u.Sudo == "nopasswd" {
		rule = "permit nopass " + u.Name + " as root\n"
	}
	return j.writeText("/etc/doas.d/slipway-"+u.Name+".conf", rule, attr{mode: 0o400})
}
