package export

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/internal/build"
	"slipway/internal/machine"
)

// Nspawn writes a machine for systemd-nspawn: a raw disk that `machinectl
// start` takes from /var/lib/machines, its settings, and a drop-in for its unit.
// The disk is the one that boots on a computer.
func Nspawn(ctx context.Context, b *build.Builder, d *machine.Definition, opt Options) (*Result, error) {
	w, err := newWork(b, d, opt)
	if err != nil {
		return nil, err
	}
	settings, err := Settings(d)
	if err != nil {
		return nil, err
	}
	r, err := w.build(ctx)
	if err != nil {
		return nil, err
	}
	disk, _, err := w.writeDisk(ctx, r, "raw")
	if err != nil {
		return nil, err
	}
	file, err := w.text(d.Name+".nspawn", settings)
	if err != nil {
		return nil, err
	}
	w.out.Commands = []string{
		"install -D -m 0644 " + shellWord(file) + " /etc/systemd/nspawn/" + d.Name + ".nspawn",
		"machinectl import-raw " + shellWord(disk.Path) + " " + d.Name,
	}
	if unit := DropIn(d); unit != nil {
		dir := "systemd-nspawn@" + d.Name + ".service.d"
		file, err = w.text(filepath.Join(dir, "slipway.conf"), unit)
		w.out.Commands = append(w.out.Commands, "install -D -m 0644 "+shellWord(file)+" /etc/systemd/system/"+dir+"/slipway.conf", "systemctl daemon-reload")
	}
	if d.VM.Autostart {
		w.out.Commands = append(w.out.Commands, "machinectl enable "+d.Name)
	}
	w.out.Commands = append(w.out.Commands, "machinectl start "+d.Name)
	return &w.out, err
}

// section is a part of a file of systemd's.
type section struct {
	name  string
	lines []string
}

func (s *section) add(key, value string) { s.lines = append(s.lines, key+"="+value) }

func render(head string, sections ...*section) []byte {
	var b strings.Builder
	b.WriteString(head)
	for _, s := range sections {
		if len(s.lines) > 0 {
			fmt.Fprintf(&b, "\n[%s]\n%s\n", s.name, strings.Join(s.lines, "\n"))
		}
	}
	return []byte(b.String())
}

// Settings are the machine's systemd.nspawn(5).
func Settings(d *machine.Definition) ([]byte, error) {
	exec, files, network := &section{name: "Exec"}, &section{name: "Files"}, &section{name: "Network"}
	if strings.HasPrefix(d.Init, "/") {
		exec.add("Boot", "no")
		exec.add("Parameters", d.Init)
	} else {
		exec.add("Boot", "yes")
	}
	exec.add("PrivateUsers", "pick")
	if d.Hostname != "" {
		exec.add("Hostname", d.Hostname)
	}
	exec.add("ResolvConf", "auto")
	files.add("PrivateUsersOwnership", "auto") // maps owners when mounting: the disk stays as it is
	var binds []machine.Bind
	binds = append(binds, d.Container.Binds...)
	for _, s := range d.Shares {
		binds = append(binds, machine.Bind{Host: s.Host, Path: s.Path, ReadOnly: s.ReadOnly})
	}
	for _, dev := range d.Container.Devices {
		if strings.ContainsAny(dev, "*?[") {
			return nil, fmt.Errorf("%s: systemd-nspawn takes no patterns of devices (%s): name each", d.At("container.devices"), dev)
		}
		binds = append(binds, machine.Bind{Host: dev, Path: dev})
	}
	for _, b := range binds {
		key := "Bind"
		if b.ReadOnly {
			key = "BindReadOnly"
		}
		files.add(key, bindPath(b.Host)+":"+bindPath(b.Path)+bindOptions(b))
	}
	network.add("VirtualEthernet", "yes")
	for _, p := range d.Ports {
		protocol := "tcp"
		if p.UDP {
			protocol = "udp"
		}
		network.add("Port", fmt.Sprintf("%s:%d:%d", protocol, p.Host, p.Machine))
	}
	return render(fmt.Sprintf("# %s of slipway; goes to /etc/systemd/nspawn/%s.nspawn\n", d.Name, d.Name), exec, files, network), nil
}

// bindOptions map the ids of a folder to the machine's; a device needs none.
func bindOptions(b machine.Bind) string {
	if strings.HasPrefix(b.Host, "/dev/") {
		return ""
	}
	return ":rootidmap"
}

// bindPath is a path in which a colon is no separator, and % no specifier.
func bindPath(p string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, "%", "%%").Replace(p)
}

// DropIn is what of the machine belongs to its unit: the limits, and the
// devices that it may open; nil: nothing.
func DropIn(d *machine.Definition) []byte {
	service := &section{name: "Service"}
	l := d.Container.Limits
	if l.Memory > 0 {
		service.add("MemoryMax", fmt.Sprint(int64(l.Memory)))
	}
	if l.CPUs > 0 {
		service.add("CPUQuota", fmt.Sprintf("%.0f%%", l.CPUs*100))
	}
	if l.Tasks > 0 {
		service.add("TasksMax", fmt.Sprint(l.Tasks))
	}
	for _, dev := range d.Container.Devices {
		service.add("DeviceAllow", dev+" rwm")
	}
	if len(service.lines) == 0 {
		return nil
	}
	return render("# "+d.Name+" of slipway\n", service)
}
