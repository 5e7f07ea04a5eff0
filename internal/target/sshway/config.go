package sshway

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Program is how OpenSSH's client calls slipway to reach a machine.
type Program struct {
	Path    string // of slipway
	Runtime string // folder of running machines
}

// WriteConfig writes one Host block for each machine, ssh_config(5). Their
// names are host labels.
func (d Dir) WriteConfig(machines []string, p Program) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	text := d.config(machines, p)
	if old, err := os.ReadFile(d.ConfigPath()); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := d.replace(configFile, text); err != nil {
		return fmt.Errorf("writing the ssh configuration: %w", err)
	}
	return nil
}

func (d Dir) config(machines []string, p Program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by slipway, again at every up and down.\n# In ~/.ssh/config: Include %s\n", quoted(d.ConfigPath()))
	for _, name := range machines {
		fmt.Fprintf(&b, "\nHost %s\n", name)
		for _, line := range [][2]string{
			{"HostName", Alias(name)},
			{"HostKeyAlias", Alias(name)},
			{"User", "root"},
			{"IdentityFile", quoted(d.KeyPath())},
			{"IdentitiesOnly", "yes"},
			{"UserKnownHostsFile", quoted(d.KnownHostsPath())},
			{"GlobalKnownHostsFile", "/dev/null"},
			{"StrictHostKeyChecking", "yes"},
			{"CheckHostIP", "no"},
			{"UpdateHostKeys", "no"},
			{"LogLevel", "ERROR"},
			{"ProxyCommand", p.command(name)},
		} {
			fmt.Fprintf(&b, "\t%s %s\n", line[0], line[1])
		}
	}
	return b.Bytes()
}

// command is run by the user's shell, after ssh has replaced its tokens. The
// user's name may come from a foreign address (ssh://...): it stands in quotes,
// for older clients let it hold anything.
func (p Program) command(name string) string {
	words := []string{"env", "SLIPWAY_RUNTIME=" + p.Runtime, p.Path, "connect", "--user", "", name, ""}
	for i, w := range words {
		words[i] = strings.ReplaceAll(shellWord(w), "%", "%%")
	}
	words[5], words[7] = "'%r'", "%p"
	return strings.Join(words, " ")
}

// quoted is an argument of ssh_config(5) in which nothing is replaced.
func quoted(path string) string {
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`
}

// shellWord quotes a word for a POSIX shell.
func shellWord(w string) string {
	if w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._=+:,@-", r))
	}) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
