package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

const (
	resolvConf   = "/etc/resolv.conf"
	resolvedUnit = "systemd-resolved.service"
	resolvedStub = "../run/systemd/resolve/stub-resolv.conf"
)

// resolver has /etc/resolv.conf made by who was chosen. Without a choice
// networkd goes with resolved, NetworkManager writes it by itself, and under
// ifup the DHCP client does, unless name servers are given: no ifup without
// resolvconf does anything with them.
func (j *job) resolver(ctx context.Context, backend string) error {
	_, resolved := j.findUnit(resolvedUnit)
	switch j.def.ChosenResolver() {
	case "resolved":
		if !resolved {
			return fmt.Errorf("resolver: the machine has no systemd-resolved; add that package")
		}
		if err := j.enable(ctx, resolvedUnit); err != nil {
			return err
		}
		return j.symlink(resolvedStub, resolvConf, attr{mode: 0o777})
	case "resolvconf":
		if !j.hasProgram("resolvconf") {
			return fmt.Errorf("resolver: the machine has no resolvconf; add the package openresolv")
		}
		return j.dropLink(resolvConf)
	case "static":
		return j.staticResolver(ctx, resolved)
	}
	ifup := backend == "ifupdown" || backend == "busybox"
	switch {
	case backend == "networkd" && resolved:
		return j.enable(ctx, resolvedUnit)
	case ifup && !resolved && !j.hasProgram("resolvconf") && len(j.def.NameServers()) > 0:
		return j.staticResolver(ctx, false)
	}
	return nil
}

// staticResolver writes the file and keeps every other hand off it.
func (j *job) staticResolver(ctx context.Context, resolved bool) error {
	if resolved {
		if err := j.choose(ctx, "resolver", "", []string{resolvedUnit}); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, a := range j.def.NameServers() {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if err := j.writeText(resolvConf, b.String(), plainFile); err != nil {
		return err
	}
	return j.quietDHCP()
}

// quietDHCP tells the DHCP clients of ifup to leave /etc/resolv.conf alone.
func (j *job) quietDHCP() error {
	for _, c := range []struct{ program, file, line string }{
		{"dhcpcd", "/etc/dhcpcd.conf", "nohook resolv.conf"},
		{"dhclient", "/etc/dhcp/dhclient-enter-hooks.d/slipway", "make_resolv_conf() { :; }"},
		{"udhcpc", "/etc/udhcpc/udhcpc.conf", `RESOLV_CONF="no"`},
	} {
		if !j.hasProgram(c.program) {
			continue
		}
		text, err := j.readFile(c.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		if err := j.rewrite(c.file, append(text, c.line+"\n"...), plainFile); err != nil {
			return err
		}
	}
	return nil
}

// dropLink removes a link that another resolver left.
func (j *job) dropLink(name string) error {
	if _, err := j.readLink(name); err != nil {
		return nil
	}
	return j.remove(name)
}
