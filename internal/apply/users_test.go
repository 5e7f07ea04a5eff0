package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleWtleWtleWtleWtleWtleWtleWtleWtleWtleWtl ops@desk"

func users(list ...machine.User) machine.Definition { return machine.Definition{Users: list} }

func (f *fixture) lastLine(name string) string {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	return lines[len(lines)-1]
}

func TestNewUser(t *testing.T) {
	f := newFixture(t)
	f.put("/etc/skel/.profile", "p")
	f.put("/etc/skel/.config/x", "y")
	f.link(".profile", "/etc/skel/.login")
	f.put("/etc/sudoers.d/README", "")
	f.must(users(machine.User{Name: "ops", Groups: []string{"sudo", "adm"}, Comment: "Ops", Sudo: "nopasswd", SSHKeys: []string{publicKey}}))
	for name, want := range map[string]string{
		"/etc/passwd":  "ops:x:1000:1000:Ops:/home/ops:/bin/bash",
		"/etc/group":   "ops:x:1000:",
		"/etc/shadow":  "ops:!:20000:0:99999:7:::",
		"/etc/gshadow": "ops:!::",
	} {
		if got := f.lastLine(name); got != want {
			t.Errorf("%s ends with %q, want %q", name, got, want)
		}
	}
	group, _ := os.ReadFile(filepath.Join(f.dir, "etc/group"))
	gshadow, _ := os.ReadFile(filepath.Join(f.dir, "etc/gshadow"))
	if !strings.Contains(string(group), "sudo:x:27:ops\n") || !strings.Contains(string(group), "adm:x:4:syslog,ops\n") ||
		!strings.Contains(string(gshadow), "adm:*::syslog,ops\n") {
		t.Errorf("members are missing:\n%s\n%s", group, gshadow)
	}
	f.mode("/home/ops", 0o700)
	f.has("/home/ops/.config/x", "y", 0o644)
	f.leads("/home/ops/.login", ".profile")
	for _, name := range []string{"/home/ops", "/home/ops/.config/x", "/home/ops/.login", "/home/ops/.ssh/authorized_keys"} {
		f.owned(name, "1000:1000")
	}
	f.owned("/home", "0:0")
	f.mode("/home/ops/.ssh", 0o700)
	f.has("/home/ops/.ssh/authorized_keys", publicKey+"\n", 0o600)
	f.has("/etc/sudoers.d/slipway-ops", "ops ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
}

func TestIDs(t *testing.T) {
	f := newFixture(t)
	f.env.IDs = map[string]int{"kept": 1500, "taken": 33}
	f.must(users(
		machine.User{Name: "fixed", UID: ptr(1200)},
		machine.User{Name: "next"},
		machine.User{Name: "daemon1", System: true},
		machine.User{Name: "daemon2", System: true, Home: "/var/lib/d2", Group: "adm"},
		machine.User{Name: "kept"},
		machine.User{Name: "taken"},
	))
	passwd, _ := os.ReadFile(filepath.Join(f.dir, "etc/passwd"))
	for _, want := range []string{
		"fixed:x:1200:1200:", "next:x:1201:1201:", "kept:x:1500:1500:", "taken:x:1501:1501:",
		"daemon1:x:999:999::/nonexistent:/usr/sbin/nologin\n", "daemon2:x:998:4::/var/lib/d2:/usr/sbin/nologin\n",
	} {
		if !strings.Contains(string(passwd), want) {
			t.Errorf("passwd lacks %q:\n%s", want, passwd)
		}
	}
	f.absent("/nonexistent")
	f.owned("/var/lib/d2", "998:4")
}

func TestChangedUser(t *testing.T) {
	f := newFixture(t)
	f.put("/bin/zsh", "")
	key := f.source("k.pub", "# mine\n"+publicKey+"\n\n", 0o644)
	f.must(users(machine.User{Name: "root", SSHKeys: []string{key}, Shell: "/bin/zsh"}, machine.User{Name: "www-data", Groups: []string{"adm"}}))
	passwd, _ := os.ReadFile(filepath.Join(f.dir, "etc/passwd"))
	if !strings.HasPrefix(string(passwd), "root:x:0:0:root:/root:/bin/zsh\n") {
		t.Errorf("got\n%s", passwd)
	}
	f.has("/root/.ssh/authorized_keys", publicKey+"\n", 0o600)
	f.owned("/root/.ssh", "0:0")
}

func TestUserErrors(t *testing.T) {
	f := newFixture(t)
	private := f.source("key", "-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o600)
	junk := f.source("junk", "hello\n", 0o600)
	at := machine.Position{File: "m.yaml", Line: 3, Column: 5}
	f.refused(users(machine.User{Name: "ops", Groups: []string{"sudoo"}, Pos: at}), "m.yaml:3:5: user ops", `"sudoo"`, "did you mean sudo")
	f.refused(users(machine.User{Name: "Ops!"}), "name")
	f.refused(users(machine.User{Name: "ops", UID: ptr(33)}), "uid 33 is taken by www-data")
	f.refused(users(machine.User{Name: "www-data", UID: ptr(34)}), "uid 33, not 34")
	f.refused(users(machine.User{Name: "ops", Shell: "/bin/fish"}), "/bin/fish")
	f.refused(users(machine.User{Name: "ops", Group: "nobodies"}), "nobodies")
	f.refused(users(machine.User{Name: "a1", SSHKeys: []string{private}}), "private key")
	f.refused(users(machine.User{Name: "a2", SSHKeys: []string{junk}}), "no public key")
	f.refused(users(machine.User{Name: "a3", SSHKeys: []string{"/no/such.pub"}}), "/no/such.pub")
	f.refused(users(machine.User{Name: "a4", Sudo: "nopasswd"}), "add the package sudo")
	f.refused(users(machine.User{Name: "a5", Comment: "a:b"}), "colon")
}

func FuzzDatabase(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\n+::::::\n# comment\n\n"))
	f.Add([]byte(""))
	f.Add([]byte("::::\n:x:99999999999999999999:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		db := parseDatabase("x", data)
		a := &accounts{passwd: db, group: parseDatabase("y", data), shadow: &database{}, gshadow: &database{}}
		if id, err := a.newID(false); err == nil && !a.free(id) {
			t.Errorf("id %d is not free", id)
		}
		_ = a.addMember("root", "ops")
		again := parseDatabase("x", db.bytes())
		if string(again.bytes()) != string(db.bytes()) {
			t.Error("what was written does not read back the same")
		}
	})
}
