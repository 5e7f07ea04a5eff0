package apply

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// unit is a systemd unit of the tree, as far as enabling needs it.
type unit struct {
	name     string // the real name, with the instance
	file     string // where its definition lies; of a template, without the instance
	instance string
	install  install
}

// install is a unit's [Install] section (systemd.unit(5)).
type install struct {
	wantedBy, requiredBy, upheldBy, alias, also []string
	defaultInstance                             string
}

func (i install) empty() bool {
	return len(i.wantedBy)+len(i.requiredBy)+len(i.upheldBy)+len(i.alias)+len(i.also) == 0
}

// errNoUnit means that there is no unit of a name.
var errNoUnit = errors.New("no such unit")

// unit finds and reads a unit by any of its names.
func (j *job) unit(name string) (*unit, error) {
	if strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q is no unit name", name)
	}
	u := &unit{name: name}
	file, ok := j.findUnit(name)
	prefix, instance, suffix := splitUnit(name)
	if !ok && instance != "" {
		file, ok = j.findUnit(prefix + "@" + suffix)
	}
	u.instance = instance
	if !ok {
		return nil, fmt.Errorf("the machine has no service %q (%w)%s", name, errNoUnit, hint(name, j.unitNames()))
	}
	// An alias is a link to the unit's real name.
	for hops := 0; ; hops++ {
		target, err := j.readLink(file)
		if err != nil {
			break
		}
		if target == "/dev/null" {
			return nil, fmt.Errorf("%s is masked by %s", name, file)
		}
		next, ok := j.findUnit(path.Base(target))
		if !ok || next == file || hops > 8 {
			break
		}
		file = next
		if instance == "" {
			u.name = path.Base(file)
		}
	}
	u.file = file
	return u, j.readUnit(u)
}

// splitUnit splits "getty@tty1.service" into its prefix, instance and suffix.
func splitUnit(name string) (prefix, instance, suffix string) {
	suffix = path.Ext(name)
	prefix = strings.TrimSuffix(name, suffix)
	if p, i, found := strings.Cut(prefix, "@"); found {
		return p, i, suffix
	}
	return prefix, "", suffix
}

// findUnit returns the path of the first file or link of a name.
func (j *job) findUnit(name string) (string, bool) {
	for _, dir := range unitDirs {
		file := path.Join(dir, name)
		if _, err := j.readLink(file); err == nil || j.exists(file) {
			return file, true
		}
	}
	return "", false
}

func (j *job) unitNames() []string {
	var names []string
	for _, dir := range unitDirs {
		for _, name := range j.names(dir) {
			if path.Ext(name) != "" && !strings.HasSuffix(name, ".wants") && !strings.HasSuffix(name, ".d") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// readUnit reads the [Install] section from the file and its drop-ins.
func (j *job) readUnit(u *unit) error {
	data, err := j.readFile(u.file)
	if err != nil {
		return err
	}
	u.install.parse(string(data))
	for _, dir := range slices.Backward(unitDirs) {
		folder := path.Join(dir, path.Base(u.file)+".d")
		for _, name := range j.names(folder) {
			if !strings.HasSuffix(name, ".conf") {
				continue
			}
			data, err := j.readFile(path.Join(folder, name))
			if err != nil {
				return err
			}
			u.install.parse(string(data))
		}
	}
	if prefix, instance, suffix := splitUnit(u.name); instance == "" && strings.Contains(u.name, "@") && u.install.defaultInstance != "" {
		u.instance = u.install.defaultInstance
		u.name = prefix + "@" + u.instance + suffix
	}
	return nil
}

// parse adds the [Install] section of a unit file; an empty value forgets what
// came before it.
func (i *install) parse(text string) {
	lists := map[string]*[]string{
		"WantedBy": &i.wantedBy, "RequiredBy": &i.requiredBy, "UpheldBy": &i.upheldBy, "Alias": &i.alias, "Also": &i.also,
	}
	inside := false
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "[Install]"
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !inside || !found || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "DefaultInstance" {
			i.defaultInstance = value
		} else if list := lists[key]; list != nil && value == "" {
			*list = nil
		} else if list != nil {
			*list = append(*list, strings.Fields(value)...)
		}
	}
}

// links is every link that enabling the unit makes.
func (u *unit) links() []string {
	var links []string
	for _, by := range []struct {
		units  []string
		suffix string
	}{{u.install.wantedBy, ".wants"}, {u.install.requiredBy, ".requires"}, {u.install.upheldBy, ".upholds"}} {
		for _, other := range by.units {
			links = append(links, path.Join(unitEtc, path.Base(u.expand(other))+by.suffix, u.name))
		}
	}
	for _, alias := range u.install.alias {
		if name := path.Base(u.expand(alias)); strings.Trim(name, "./") != "" {
			links = append(links, path.Join(unitEtc, name))
		}
	}
	return links
}

// expand replaces the specifiers that may stand in [Install].
func (u *unit) expand(s string) string {
	prefix, _, _ := splitUnit(u.name)
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	return strings.NewReplacer("%%", "%", "%i", u.instance, "%p", prefix, "%j", last, "%n", u.name,
		"%N", strings.TrimSuffix(u.name, path.Ext(u.name))).Replace(s)
}

// isMeant tells whether a link of a name and a target belongs to the unit.
func (u *unit) isMeant(name, target string) bool {
	real := path.Base(u.file)
	if u.instance != "" && strings.Contains(real, "@") {
		return name == u.name
	}
	return name == u.name || path.Base(target) == real
}
