package apply

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// applyServices makes init start, or not start, services.
func applyServices(ctx context.Context, j *job) error {
	s := j.def.Services
	if len(s.Enable)+len(s.Disable) == 0 {
		return nil
	}
	for _, name := range s.Enable {
		if slices.Contains(s.Disable, name) {
			return fmt.Errorf("%s is to be both enabled and disabled", name)
		}
	}
	switch j.env.Init {
	case "systemd":
		return j.systemdServices(ctx)
	case "openrc":
		return j.openrcServices()
	}
	return errors.New("the machine has no init that starts services; set init or remove the key")
}

// systemdServices also writes a preset: on the first boot systemd enables
// everything that no preset disables.
func (j *job) systemdServices(ctx context.Context) error {
	var preset strings.Builder
	for _, name := range j.def.Services.Enable {
		if err := j.enable(ctx, unitName(name)); err != nil {
			return err
		}
		fmt.Fprintf(&preset, "enable %s\n", unitName(name))
	}
	for _, name := range j.def.Services.Disable {
		if err := j.disable(ctx, unitName(name)); err != nil {
			return err
		}
		fmt.Fprintf(&preset, "disable %s\n", unitName(name))
	}
	return j.writeText("/etc/systemd/system-preset/10-slipway.preset", preset.String(), plainFile)
}

// unitName adds the suffix that may be left out.
func unitName(name string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".path", ".target", ".mount", ".automount", ".swap", ".slice"} {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return name + ".service"
}

const unitEtc = "/etc/systemd/system"

// unitDirs is where units are looked for, in systemd's order.
var unitDirs = []string{unitEtc, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// enable does what systemctl enable does for one unit and those that come with
// it.
func (j *job) enable(ctx context.Context, name string) error {
	return j.enableAll(ctx, name, map[string]bool{})
}

func (j *job) enableAll(ctx context.Context, name string, seen map[string]bool) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	u, err := j.unit(name)
	if errors.Is(err, errNoUnit) && j.isScript(name) {
		service := strings.TrimSuffix(name, ".service")
		return j.run(ctx, machine.Command{Command: fmt.Sprintf("update-rc.d %s defaults && update-rc.d %s enable", service, service)})
	}
	if err != nil {
		return err
	}
	if u.install.empty() {
		if len(seen) > 1 {
			return nil // named by Also= of another
		}
		return fmt.Errorf("%s cannot be enabled: it has no [Install] section, something else starts it", name)
	}
	for _, link := range u.links() {
		if err := j.unitLink(u, link); err != nil {
			return err
		}
	}
	for _, also := range u.install.also {
		if err := j.enableAll(ctx, unitName(u.expand(also)), seen); err != nil {
			return fmt.Errorf("enabling what comes with %s: %w", name, err)
		}
	}
	return nil
}

// unitLink makes one link, unless it already leads to the unit.
func (j *job) unitLink(u *unit, link string) error {
	if link == u.file {
		return nil
	}
	if target, err := j.readLink(link); err == nil && path.Base(target) == path.Base(u.file) {
		return nil
	}
	return j.symlink(u.file, link, attr{mode: 0o777})
}

// disable removes every link by which a unit is wanted, as systemctl disable
// does. Links that a package ships (in /usr) are its own affair.
func (j *job) disable(ctx context.Context, name string) error {
	u, err := j.unit(name)
	if errors.Is(err, errNoUnit) && j.isScript(name) {
		return j.run(ctx, machine.Command{Command: "update-rc.d " + strings.TrimSuffix(name, ".service") + " disable"})
	}
	if err != nil {
		return err
	}
	removed, err := j.removeLinks(unitEtc, u)
	if err != nil {
		return err
	}
	if removed == 0 && u.install.empty() {
		return fmt.Errorf("%s cannot be disabled: it has no [Install] section, something else starts it", name)
	}
	return nil
}

// removeLinks removes links to a unit in a folder and its .wants and such.
func (j *job) removeLinks(dir string, u *unit) (int, error) {
	entries, err := j.readDir(dir)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, e := range entries {
		at := path.Join(dir, e.name)
		switch {
		case e.isDir() && dir == unitEtc:
			n, err := j.removeLinks(at, u)
			if removed += n; err != nil {
				return removed, err
			}
		case e.isLink():
			target, err := j.readLink(at)
			if err != nil {
				return removed, err
			}
			if !u.isMeant(e.name, target) {
				continue
			}
			if err := j.remove(at); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

func (j *job) isScript(name string) bool {
	service, found := strings.CutSuffix(name, ".service")
	return found && j.exists(path.Join("/etc/init.d", service)) && j.exists("/usr/sbin/update-rc.d")
}

// runlevelOf are services that OpenRC must start before or after those of the
// default runlevel, as Alpine's and Gentoo's installers have them.
var runlevelOf = map[string]string{
	"devfs": "sysinit", "dmesg": "sysinit", "mdev": "sysinit", "hwdrivers": "sysinit", "udev": "sysinit", "udev-trigger": "sysinit", "modloop": "sysinit",
	"bootmisc": "boot", "hostname": "boot", "hwclock": "boot", "swclock": "boot", "keymaps": "boot", "loadkmap": "boot", "localmount": "boot",
	"modules": "boot", "networking": "boot", "root": "boot", "fsck": "boot", "seedrng": "boot", "swap": "boot", "sysctl": "boot", "syslog": "boot",
	"killprocs": "shutdown", "mount-ro": "shutdown", "savecache": "shutdown",
}

// openrcServices links services into their runlevel, or out of all.
func (j *job) openrcServices() error {
	for _, name := range append(slices.Clone(j.def.Services.Enable), j.def.Services.Disable...) {
		if !j.exists(path.Join("/etc/init.d", name)) || strings.Contains(name, "/") {
			return fmt.Errorf("the machine has no service %q%s", name, hint(name, j.names("/etc/init.d")))
		}
	}
	for _, name := range j.def.Services.Enable {
		level := runlevelOf[name]
		if level == "" {
			level = "default"
		}
		if err := j.symlink("/etc/init.d/"+name, "/etc/runlevels/"+level+"/"+name, attr{mode: 0o777}); err != nil {
			return err
		}
	}
	for _, name := range j.def.Services.Disable {
		for _, level := range j.names("/etc/runlevels") {
			if err := j.remove(path.Join("/etc/runlevels", level, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// names lists a folder; what cannot be read has none.
func (r *root) names(dir string) []string {
	entries, err := r.readDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.name)
	}
	return names
}
