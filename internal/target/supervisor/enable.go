package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Unit is what makes the host's init start a machine.
type Unit struct {
	Path string   // where it belongs
	Text string   // its content
	Mode uint32   // permission bits
	On   []string // commands that activate it, one line each
	Off  []string // commands before it is removed
}

// UnitFor writes the unit that starts the machine of a definition file on a
// target with the host. It needs a program that is still there after a restart.
func UnitFor(name, definition, target, binary, store string) (*Unit, error) {
	if !label.MatchString(name) {
		return nil, fmt.Errorf("enabling machine %q: a name has lower-case letters, digits and hyphens", name)
	}
	if err := lasting(binary); err != nil {
		return nil, fmt.Errorf("enabling machine %s: %w", name, err)
	}
	if !filepath.IsAbs(definition) {
		return nil, fmt.Errorf("enabling machine %s: the definition's path %s is not absolute", name, definition)
	}
	u, err := hostUnit(name, upWords(definition, target), binary, store)
	if err != nil {
		return nil, fmt.Errorf("enabling machine %s: %w; start it from its own start-up files with: %s %s", name, err, binary, strings.Join(upWords(definition, target), " "))
	}
	return u, nil
}

// upWords are the words of slipway that start the machine.
func upWords(definition, target string) []string {
	words := []string{"up", definition}
	if target != "" && target != "container" {
		words = append(words, "--on", target)
	}
	return words
}

// InstalledUnit is where the unit of a machine lies and how it is taken away.
// The machine itself, its definition and slipway may be gone.
func InstalledUnit(name string) (*Unit, error) {
	if !label.MatchString(name) {
		return nil, fmt.Errorf("disabling machine %q: a name has lower-case letters, digits and hyphens", name)
	}
	u, err := hostUnit(name, nil, "", "")
	if err != nil {
		return nil, fmt.Errorf("disabling machine %s: %w", name, err)
	}
	return u, nil
}

// hostUnit is for the init that runs here.
func hostUnit(name string, up []string, binary, store string) (*Unit, error) {
	switch {
	case exists("/run/systemd/system"):
		return systemdUnit(name, up, binary, store)
	case exists("/sbin/openrc-run") || exists("/usr/sbin/openrc-run"):
		return openrcUnit(name, up, binary, store), nil
	}
	return nil, errors.New("the host's init is neither systemd nor OpenRC")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lasting refuses programs that are gone after a while, such as those of `go run`.
func lasting(binary string) error {
	if strings.HasSuffix(binary, " (deleted)") {
		return errors.New("the slipway program was deleted; install it first, for example with `go install`")
	}
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm", "/run", "/proc"} {
		if rel, err := filepath.Rel(dir, binary); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("the slipway program lies in %s, which does not last; install it first, for example as /usr/local/bin/slipway", dir)
		}
	}
	if strings.Contains(binary, "/go-build") {
		return errors.New("the slipway program is a temporary one of `go run`; install it first, for example with `go install`")
	}
	if !exists(binary) {
		return fmt.Errorf("there is no %s", binary)
	}
	return nil
}

func systemdUnit(name string, up []string, binary, store string) (*Unit, error) {
	dir, scope := "/etc/systemd/system", []string{"systemctl"}
	target := "multi-user.target"
	if os.Geteuid() != 0 {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, err
		}
		dir, scope, target = filepath.Join(config, "systemd/user"), []string{"systemctl", "--user"}, "default.target"
	}
	unit := "slipway-" + name + ".service"
	control := strings.Join(scope, " ")
	u := &Unit{
		Path: filepath.Join(dir, unit), Mode: 0o644,
		On:  []string{control + " daemon-reload", control + " enable " + unit},
		Off: []string{control + " disable " + unit},
		Text: "[Unit]\nDescription=Machine " + name + " (slipway)\nAfter=network.target\n\n" +
			"[Service]\nType=oneshot\nRemainAfterExit=yes\nDelegate=yes\nTimeoutStartSec=15min\n" +
			"# A machine whose probes fail stays up for a look.\nSuccessExitStatus=3\n" +
			"ExecStart=" + systemdWords(binary, storeArgs(store), up...) + "\n" +
			"ExecStop=" + systemdWords(binary, storeArgs(store), "down", name) + "\n\n" +
			"[Install]\nWantedBy=" + target + "\n",
	}
	if os.Geteuid() != 0 {
		u.On = append(lingering(), u.On...)
	}
	return u, nil
}

// lingering is what makes a user's units start with the host and not with the
// first login. Where it is set already nothing is asked: a host without polkit
// lets root alone set it.
func lingering() []string {
	if me, err := user.Current(); err == nil && exists("/var/lib/systemd/linger/"+me.Username) {
		return nil
	}
	return []string{"loginctl enable-linger"}
}

func storeArgs(store string) []string {
	if store == "" {
		return nil
	}
	return []string{"--store", store}
}

// systemdWords quotes a command line (systemd.service(5), COMMAND LINES).
func systemdWords(program string, options []string, rest ...string) string {
	words := append(append([]string{program}, options...), rest...)
	for i, w := range words {
		w = strings.NewReplacer("%", "%%", "$", "$$").Replace(w)
		words[i] = strconv.Quote(w)
	}
	return strings.Join(words, " ")
}

func openrcUnit(name string, up []string, binary, store string) *Unit {
	service := "slipway-" + name
	call := func(rest ...string) string {
		words := append(append([]string{binary}, storeArgs(store)...), rest...)
		for i, w := range words {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		return strings.Join(words, " ")
	}
	return &Unit{
		Path: "/etc/init.d/" + service, Mode: 0o755,
		On:  []string{"rc-update add " + service + " default"},
		Off: []string{"rc-update del " + service},
		Text: "#!/sbin/openrc-run\ndescription=\"Machine " + name + " (slipway)\"\n\n" +
			"depend() {\n\tafter net localmount cgroups\n}\n\n" +
			"start() {\n\tebegin \"Starting machine " + name + "\"\n\t" + call(up...) + "\n\teend $?\n}\n\n" +
			"stop() {\n\tebegin \"Stopping machine " + name + "\"\n\t" + call("down", name) + "\n\teend $?\n}\n\n" +
			"status() {\n\t" + call("inspect", name) + "\n}\n",
	}
}
