package deb

import (
	"strings"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/plan"
)

func TestImplied(t *testing.T) {
	d := &machine.Definition{
		Users:    []machine.User{{Name: "a", SSHKeys: []string{"x"}, Sudo: "nopasswd"}, {Name: "b", SSHKeys: []string{"y"}}},
		Timezone: "UTC", Locale: "de_DE.UTF-8", Network: []machine.Network{{Match: "e*"}},
	}
	show := func(class string) string {
		var s []string
		for _, p := range implied(d, plan.Class(class)) {
			s = append(s, p.Package+"<"+p.Key)
		}
		return strings.Join(s, " ")
	}
	want := "openssh-server<users.ssh_keys sudo<users.sudo tzdata<timezone locales<locale systemd<network"
	if got := show("plain"); got != want+" systemd-resolved<network" {
		t.Errorf("plain: %s", got)
	}
	if got := show("container"); got != "systemd-sysv<init "+want {
		t.Errorf("container: %s", got)
	}
	d.Locale = "C.UTF-8"
	if got := show("bootable"); strings.Contains(got, "locales") || !strings.HasPrefix(got, "systemd-sysv<init udev<init") {
		t.Errorf("bootable: %s", got)
	}
	d.Init = "none"
	if got := show("container"); got != "" {
		t.Errorf("init none: %s", got)
	}
}
