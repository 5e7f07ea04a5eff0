package deb

import (
	"testing"

	"slipway/internal/distro"
	"slipway/internal/distro/deb/control"
	"slipway/internal/machine"
)

func TestFirstTurn(t *testing.T) {
	with := func(packages ...string) distro.Request {
		return distro.Request{Definition: &machine.Definition{Packages: packages}}
	}
	implied := with("nginx")
	implied.Implied = []distro.Implied{{Package: "systemd-sysv", Key: "init"}}
	answered := with("udev", "postfix")
	answered.Definition.Debconf = map[string]string{"postfix/mailname": "a"}
	cases := map[string]struct {
		request distro.Request
		turn    bool
		first   []string
		second  []string
	}{
		"no foundation": {with("nginx"), false, nil, nil},
		"asked":         {with("udev", "nginx=1.2", "vim/backports"), true, []string{"udev", "apt"}, []string{"nginx", "vim"}},
		"implied":       {implied, true, []string{"systemd-sysv", "apt"}, []string{"nginx"}},
		"a kernel":      {with("linux-image-cloud-amd64", "less"), true, []string{"linux-image-cloud-amd64"}, []string{"less"}},
		"answers":       {answered, false, nil, nil},
		"a pattern":     {with("udev", "nginx-mod-*"), false, nil, nil},
	}
	for name, c := range cases {
		first := firstTurn(c.request, nil)
		if (first != nil) != c.turn {
			t.Errorf("%s: got a first turn: %v, want %v", name, first != nil, c.turn)
			continue
		}
		for _, p := range c.first {
			if !first(&control.Package{Name: p}) {
				t.Errorf("%s: %s is not in the first turn", name, p)
			}
		}
		for _, p := range c.second {
			if first(&control.Package{Name: p}) {
				t.Errorf("%s: %s is in the first turn", name, p)
			}
		}
	}
	local := firstTurn(with("udev", "./own.deb"), []*control.Package{{Name: "own"}})
	if local == nil || local(&control.Package{Name: "own"}) {
		t.Error("a local package is in the first turn")
	}
}
