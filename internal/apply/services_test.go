package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

func services(enable, disable string) machine.Definition {
	return machine.Definition{Services: machine.Services{Enable: strings.Fields(enable), Disable: strings.Fields(disable)}}
}

const unitLib = "/usr/lib/systemd/system/"

func systemdTree(t *testing.T) *fixture {
	f := newFixture(t)
	f.put(unitLib+"nginx.service", "[Unit]\nWantedBy=nobody.target\n[Install]\n# note\nWantedBy=multi-user.target \\\n  other.target\nAlias=web.service\nAlso=nginx.socket\n")
	f.put(unitLib+"nginx.socket", "[Install]\nRequiredBy=sockets.target\n")
	f.put(unitLib+"getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n")
	f.put(unitLib+"static.service", "[Service]\n")
	f.put(unitLib+"ssh.service", "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n")
	f.put("/etc/systemd/system/static2.service", "[Install]\nWantedBy=a.target\n")
	f.put("/etc/systemd/system/static2.service.d/x.conf", "[Install]\nWantedBy=\nWantedBy=b-%p.target\n")
	f.link("ssh.service", unitLib+"openssh.service")
	f.link("/dev/null", "/etc/systemd/system/masked.service")
	return f
}

func TestSystemdEnable(t *testing.T) {
	f := systemdTree(t)
	f.must(services("nginx getty@.service getty@tty7 openssh static2", ""))
	etc := "/etc/systemd/system/"
	f.leads(etc+"multi-user.target.wants/nginx.service", unitLib+"nginx.service")
	f.leads(etc+"other.target.wants/nginx.service", unitLib+"nginx.service")
	f.leads(etc+"web.service", unitLib+"nginx.service")
	f.leads(etc+"sockets.target.requires/nginx.socket", unitLib+"nginx.socket")
	f.leads(etc+"getty.target.wants/getty@tty1.service", unitLib+"getty@.service")
	f.leads(etc+"getty.target.wants/getty@tty7.service", unitLib+"getty@.service")
	f.leads(etc+"multi-user.target.wants/ssh.service", unitLib+"ssh.service")
	f.leads(etc+"sshd.service", unitLib+"ssh.service")
	f.leads(etc+"b-static2.target.wants/static2.service", etc+"static2.service")
	f.absent(etc + "a.target.wants")
	f.absent(etc + "nobody.target.wants")
	f.has("/etc/systemd/system-preset/10-slipway.preset",
		"enable nginx.service\nenable getty@.service\nenable getty@tty7.service\nenable openssh.service\nenable static2.service\n", 0o644)
}

func TestSystemdDisable(t *testing.T) {
	f := systemdTree(t)
	f.must(services("nginx ssh", ""))
	f.link("/lib/systemd/system/ssh.service", "/etc/systemd/system/late.target.wants/ssh.service")
	f.must(services("", "ssh"))
	for _, name := range []string{"multi-user.target.wants/ssh.service", "sshd.service", "late.target.wants/ssh.service"} {
		f.absent("/etc/systemd/system/" + name)
	}
	f.leads("/etc/systemd/system/multi-user.target.wants/nginx.service", unitLib+"nginx.service")
	f.has("/etc/systemd/system-preset/10-slipway.preset", "disable ssh.service\n", 0o644)
}

func TestSystemdErrors(t *testing.T) {
	f := systemdTree(t)
	f.refused(services("ngnix", ""), `"ngnix.service"`, "nginx.service")
	f.refused(services("", "shh"), `"shh.service"`, "ssh.service")
	f.refused(services("static", ""), "no [Install] section")
	f.refused(services("", "static"), "no [Install] section")
	f.refused(services("masked", ""), "masked")
	f.refused(services("ssh", "ssh"), "both")
	f.refused(services("../ssh", ""), "no unit name")
	f.env.Init = "none"
	f.refused(services("ssh", ""), "no init")
}

func TestSysVScript(t *testing.T) {
	f := systemdTree(t)
	f.put("/etc/init.d/old", "")
	f.put("/usr/sbin/update-rc.d", "")
	f.must(services("old", ""))
	f.must(services("", "old"))
	if got := strings.Join(f.ran, "; "); got != "update-rc.d old defaults && update-rc.d old enable; update-rc.d old disable" {
		t.Errorf("ran %q", got)
	}
}

func TestOpenRC(t *testing.T) {
	f := newFixture(t)
	f.env.Init = "openrc"
	f.put("/etc/init.d/sshd", "")
	f.put("/etc/init.d/crond", "")
	f.link("/etc/init.d/crond", "/etc/runlevels/boot/crond")
	f.must(services("sshd", "crond"))
	f.leads("/etc/runlevels/default/sshd", "/etc/init.d/sshd")
	f.absent("/etc/runlevels/boot/crond")
	f.refused(services("ssh", ""), "sshd")
}

func FuzzInstall(f *testing.F) {
	f.Add("[Install]\nWantedBy=a b\nAlias=%p.service\n")
	f.Add("[Install]\n=\n;x=\n\\\n[x]")
	f.Fuzz(func(t *testing.T, text string) {
		u := &unit{name: "a-b@c.service", file: "/x/a-b@.service", instance: "c"}
		u.install.parse(text)
		for _, link := range u.links() {
			if !strings.HasPrefix(link, unitEtc+"/") {
				t.Errorf("a link lies at %q", link)
			}
		}
	})
}

// Services of OpenRC go where they belong; Alpine has one file of interfaces.
func TestAlpine(t *testing.T) {
	f := newFixture(t)
	f.env.Family, f.env.Init = "apk", "openrc"
	for _, name := range []string{"/etc/init.d/sshd", "/etc/init.d/syslog", "/etc/init.d/networking", "/sbin/ifup", "/usr/bin/doas"} {
		f.put(name, "#!/sbin/openrc-run\n")
	}
	f.put("/etc/runlevels/default/old", "")
	f.put("/etc/init.d/old", "")
	f.must(machine.Definition{
		Services: machine.Services{Enable: []string{"sshd", "syslog"}, Disable: []string{"old"}},
		Network:  []machine.Network{{Match: "eth0", DHCP: true}, {Match: "eth1", Address: []string{"192.0.2.7/24"}, Gateway: "192.0.2.1"}},
		Users:    []machine.User{{Name: "ops", Sudo: "nopasswd"}},
	})
	for link, want := range map[string]string{
		"/etc/runlevels/default/sshd": "/etc/init.d/sshd", "/etc/runlevels/boot/syslog": "/etc/init.d/syslog", "/etc/runlevels/boot/networking": "/etc/init.d/networking",
	} {
		if got, err := os.Readlink(filepath.Join(f.dir, link)); err != nil || got != want {
			t.Errorf("%s leads to %q, %v", link, got, err)
		}
	}
	for name, want := range map[string]string{
		"/etc/network/interfaces":      "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\nauto eth1\niface eth1 inet static\n\taddress 192.0.2.7/24\n\tgateway 192.0.2.1\n",
		"/etc/doas.d/slipway-ops.conf": "permit nopass ops as root\n",
	} {
		if data, err := os.ReadFile(filepath.Join(f.dir, name)); err != nil || string(data) != want {
			t.Errorf("%s is %q, %v", name, data, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(f.dir, "/etc/runlevels/default/old")); err == nil {
		t.Error("a disabled service is still there")
	}
	if data, _ := os.ReadFile(filepath.Join(f.dir, "/etc/shadow")); !strings.Contains(string(data), "ops:*:") {
		t.Errorf("an account that a key opens is locked: %s", data)
	}
}
