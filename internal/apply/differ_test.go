package apply

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

// links lists the links below a folder of the tree.
func (f *fixture) links(dir string) string {
	f.t.Helper()
	var list []string
	root := filepath.Join(f.dir, dir)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type()&os.ModeSymlink != 0 {
			var target string
			target, err = os.Readlink(path)
			list = append(list, fmt.Sprintf("%s -> %s", strings.TrimPrefix(path, root), target))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

// Enabling and disabling must leave the links that systemctl leaves.
func TestAgreesWithSystemctl(t *testing.T) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		t.Skip("systemctl is not installed")
	}
	ours, theirs := systemdTree(t), systemdTree(t)
	for _, step := range []struct{ verb, units string }{
		{"enable", "nginx getty@.service getty@tty7 ssh static2"},
		{"disable", "ssh getty@tty7"},
	} {
		d := services(step.units, "")
		if step.verb == "disable" {
			d = services("", step.units)
		}
		ours.must(d)
		cmd := exec.Command(systemctl, append([]string{"--root=" + theirs.dir, step.verb}, strings.Fields(step.units)...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", step.verb, err, out)
		}
		if got, want := ours.links(unitEtc), theirs.links(unitEtc); got != want {
			t.Errorf("after %s: got\n%s\nwant\n%s", step.verb, got, want)
		}
	}
}

// A new account must read as useradd writes it; its date is ours to choose.
func TestAgreesWithUseradd(t *testing.T) {
	useradd, err := exec.LookPath("useradd")
	if err != nil || os.Getuid() != 0 {
		t.Skip("useradd is not installed, or this is not root")
	}
	ours, theirs := newFixture(t), newFixture(t)
	for _, f := range []*fixture{ours, theirs} {
		f.put("/etc/login.defs", "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUSERGROUPS_ENAB yes\nHOME_MODE 0700\nPASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n")
	}
	ours.must(users(
		machine.User{Name: "ops", Groups: []string{"adm", "sudo"}, Comment: "Ops", Shell: "/bin/bash"},
		machine.User{Name: "dev", UID: ptr(1500), Shell: "/bin/bash"},
		machine.User{Name: "late", Shell: "/bin/bash"},
	))
	for _, args := range []string{"-m -s /bin/bash -c Ops -G adm,sudo ops", "-m -s /bin/bash -u 1500 dev", "-m -s /bin/bash late"} {
		cmd := exec.Command(useradd, append([]string{"-P", theirs.dir}, strings.Fields(args)...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("useradd %s does not work here: %v: %s", args, err, out)
		}
	}
	for _, name := range []string{"/etc/passwd", "/etc/group", "/etc/gshadow"} {
		got, _ := os.ReadFile(filepath.Join(ours.dir, name))
		want, err := os.ReadFile(filepath.Join(theirs.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	if got, want := undated(ours), undated(theirs); got != want {
		t.Errorf("/etc/shadow: got\n%s\nwant\n%s", got, want)
	}
	ours.mode("/home/dev", 0o700)
	theirs.mode("/home/dev", 0o700)
}

// undated is shadow without the days of the last change.
func undated(f *fixture) string {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, "etc/shadow"))
	if err != nil {
		f.t.Fatal(err)
	}
	db := parseDatabase("shadow", data)
	for _, fields := range db.lines {
		fields[2] = ""
	}
	return string(db.bytes())
}
