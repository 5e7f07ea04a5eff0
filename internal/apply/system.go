package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"slipway/internal/machine"
)

// hostLabel is one label of a host name (RFC 1123).
var hostLabel = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// emptyHosts is what Debian's installer writes around a machine's own line.
const emptyHosts = `127.0.0.1	localhost

# The following lines are desirable for IPv6 capable hosts
::1     localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
`

// applyHostname writes the name, and lets it resolve without a network by the
// address that Debian gives it.
func applyHostname(_ context.Context, j *job) error {
	name := j.def.Hostname
	if name == "" {
		return nil
	}
	for _, label := range strings.Split(name, ".") {
		if !hostLabel.MatchString(label) || len(name) > 64 {
			return fmt.Errorf("%q is no host name", name)
		}
	}
	if err := j.writeText("/etc/hostname", name+"\n", plainFile); err != nil {
		return err
	}
	hosts, err := j.readFile("/etc/hosts")
	if errors.Is(err, fs.ErrNotExist) {
		hosts, err = []byte(emptyHosts), nil
	}
	if err != nil {
		return err
	}
	return j.rewrite("/etc/hosts", []byte(ownHosts(string(hosts), name)), plainFile)
}

// ownHosts sets the line of 127.0.1.1.
func ownHosts(hosts, name string) string {
	own := "127.0.1.1\t" + name
	if short, _, found := strings.Cut(name, "."); found {
		own += " " + short
	}
	lines := strings.Split(strings.TrimSuffix(hosts, "\n"), "\n")
	if hosts == "" {
		lines = nil
	}
	after := -1
	for i, line := range lines {
		switch fields := strings.Fields(line); {
		case len(fields) == 0:
		case fields[0] == "127.0.1.1":
			lines[i] = own
			return strings.Join(lines, "\n") + "\n"
		case fields[0] == "127.0.0.1":
			after = i
		}
	}
	rest := append([]string{own}, lines[after+1:]...)
	return strings.Join(append(lines[:after+1:after+1], rest...), "\n") + "\n"
}

const zones = "/usr/share/zoneinfo"

// applyTimezone links the zone, and names it where Debian's tools look.
func applyTimezone(_ context.Context, j *job) error {
	zone := j.def.Timezone
	if zone == "" {
		return nil
	}
	if !j.isDir(zones) {
		return fmt.Errorf("the machine knows no time zones; add the package tzdata")
	}
	file := path.Join(zones, zone)
	if !strings.HasPrefix(file, zones+"/") || !j.exists(file) || j.isDir(file) {
		return fmt.Errorf("there is no time zone %q%s", zone, hint(zone, j.zoneNames("")))
	}
	if err := j.symlink(file, "/etc/localtime", plainFile); err != nil {
		return err
	}
	if j.env.Family != "deb" {
		return nil
	}
	return j.writeText("/etc/timezone", zone+"\n", plainFile)
}

func (j *job) zoneNames(under string) []string {
	entries, err := j.readDir(path.Join(zones, under))
	if err != nil {
		return nil // only a hint is lost
	}
	var names []string
	for _, e := range entries {
		name := path.Join(under, e.name)
		if e.isDir() && under == "" && e.name != "posix" && e.name != "right" {
			names = append(names, j.zoneNames(name)...)
		} else if !e.isDir() {
			names = append(names, name)
		}
	}
	return names
}

// applyLocale sets the default locale, and has it generated if need be.
func applyLocale(ctx context.Context, j *job) error {
	name := j.def.Locale
	if name == "" {
		return nil
	}
	if strings.ContainsAny(name, " \t\n\"'$`\\/") {
		return fmt.Errorf("%q is no locale", name)
	}
	if j.def.NeedsLocales() {
		if err := j.generateLocale(ctx, name); err != nil {
			return err
		}
	}
	text := []byte("LANG=" + name + "\n")
	if j.env.Family == "deb" {
		if err := j.rewrite("/etc/default/locale", text, plainFile); err != nil {
			return err
		}
	}
	if j.env.Family != "deb" || j.exists("/etc/locale.conf") {
		return j.rewrite("/etc/locale.conf", text, plainFile)
	}
	return nil
}

// generateLocale asks locale-gen for it, as Debian does.
func (j *job) generateLocale(ctx context.Context, name string) error {
	if !j.exists("/usr/sbin/locale-gen") {
		return fmt.Errorf("%s has to be generated; add the package locales", name)
	}
	supported, err := j.readFile("/usr/share/i18n/SUPPORTED")
	if err != nil {
		return err
	}
	line, names := "", []string{}
	for _, l := range strings.Split(string(supported), "\n") {
		if fields := strings.Fields(l); len(fields) == 2 {
			names = append(names, fields[0])
			if fields[0] == name {
				line = fields[0] + " " + fields[1]
			}
		}
	}
	if line == "" {
		return fmt.Errorf("there is no locale %q%s", name, hint(name, names))
	}
	gen, err := j.readFile("/etc/locale.gen")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := j.rewrite("/etc/locale.gen", []byte(wantLocale(string(gen), line)), plainFile); err != nil {
		return err
	}
	return j.run(ctx, machine.Command{Command: "locale-gen"})
}

// wantLocale activates a line of locale.gen.
func wantLocale(gen, line string) string {
	lines := strings.Split(strings.TrimSuffix(gen, "\n"), "\n")
	for i, l := range lines {
		if strings.Join(strings.Fields(strings.TrimLeft(l, "# ")), " ") == line {
			lines[i] = line
			return strings.Join(lines, "\n") + "\n"
		}
	}
	if gen == "" {
		return line + "\n"
	}
	return strings.Join(append(lines, line), "\n") + "\n"
}

// applySysctl writes kernel settings, sorted by name.
func applySysctl(_ context.Context, j *job) error {
	if len(j.def.Sysctl) == 0 {
		return nil
	}
	var text strings.Builder
	for _, key := range sorted(j.def.Sysctl) {
		value := j.def.Sysctl[key]
		if strings.ContainsAny(key, " =\n#;") || strings.Contains(value, "\n") || key == "" {
			return fmt.Errorf("%q = %q is no kernel setting", key, value)
		}
		fmt.Fprintf(&text, "%s = %s\n", key, value)
	}
	return j.writeText("/etc/sysctl.d/60-slipway.conf", text.String(), plainFile)
}

// applyMounts appends to fstab and makes the mount points.
func applyMounts(_ context.Context, j *job) error {
	if len(j.def.Mounts) == 0 {
		return nil
	}
	fstab, err := j.readFile("/etc/fstab")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := string(fstab)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, m := range j.def.Mounts {
		if m.What == "" || m.Where == "" {
			return fmt.Errorf("a mount needs what and where")
		}
		text += mountLine(m)
		if path.IsAbs(m.Where) && !j.isDir(m.Where) {
			if err := j.mkdir(m.Where, plainDir); err != nil {
				return err
			}
		}
	}
	return j.rewrite("/etc/fstab", []byte(text), plainFile)
}

// mountLine is a line of fstab(5); the check order is left to the file system's
// own journal, as for everything but the root.
func mountLine(m machine.Mount) string {
	kind, options := m.Type, m.Options
	if kind == "" {
		kind = "auto"
	}
	if options == "" {
		options = "defaults"
	}
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace
	return strings.Join([]string{escape(m.What), escape(m.Where), escape(kind), escape(options), "0", "0"}, "\t") + "\n"
}
