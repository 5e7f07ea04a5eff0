package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

func TestBinds(t *testing.T) {
	host := kit.TempDir(t)
	for _, name := range []string{"ro", "rw"} {
		if err := os.Mkdir(filepath.Join(host, name), 0o755); err != nil {
			t.Fatal(err)
		}
		kit.Write(t, filepath.Join(host, name), "file", "from the host\n")
	}
	w, _ := start(t, "container:\n  binds: [\""+host+"/ro:/srv/ro:ro\", \""+host+"/rw:/srv/rw\"]\n")
	if got := inside(t, w, "cat /srv/ro/file /srv/rw/file"); got != "from the host\nfrom the host" {
		t.Errorf("inside: %q", got)
	}
	r := w.Run("shell", "toy", "sh", "-c", "echo x > /srv/ro/file")
	if r.Status == 0 || !strings.Contains(r.Stderr, "Read-only file system") {
		t.Errorf("writing to a read-only bind: exit status %d, %s", r.Status, r.Stderr)
	}
	if r := w.Run("shell", "toy", "sh", "-c", "mount -o remount,rw,bind /srv/ro && echo x > /srv/ro/file"); r.Status == 0 {
		t.Error("root inside makes a read-only bind writable")
	}
	inside(t, w, "echo mine > /srv/rw/new")
	if data, err := os.ReadFile(filepath.Join(host, "rw/new")); err != nil || string(data) != "mine\n" {
		t.Errorf("the host sees %q, %v", data, err)
	}
}

func TestOnlyNamedDevices(t *testing.T) {
	usual := "console core fd full hugepages initctl log mqueue net null ptmx pts random shm stderr stdin stdout tty urandom zero"
	w, _ := start(t, "")
	for _, name := range strings.Fields(inside(t, w, "ls /dev")) {
		if !strings.Contains(" "+usual+" ", " "+name+" ") {
			t.Errorf("/dev/%s is there although nobody named it", name)
		}
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("this host has no /dev/fuse to show")
	}
	named, _ := start(t, "container: {devices: [/dev/fuse]}\n")
	if got := inside(t, named, "ls /dev/fuse"); got != "/dev/fuse" {
		t.Errorf("a named device: %q", got)
	}
}

func TestLimits(t *testing.T) {
	w, _ := start(t, "container: {limits: {memory: 64M, tasks: 40}}\n")
	if notes := w.Must("inspect", "--json", "toy").Stdout; !strings.Contains(notes, "67108864") {
		t.Errorf("inspect does not tell the limit: %s", notes)
	}
	if r := w.Run("shell", "toy", "dd", "if=/dev/zero", "of=/dev/null", "bs=8M", "count=1"); r.Status != 0 {
		t.Errorf("within the limit: %s", r.Text())
	}
	limited := w.Limits(t)
	if !limited {
		t.Skip("this host gives no controllers for limits to this user")
	}
	if r := w.Run("shell", "toy", "dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"); r.Status == 0 {
		t.Error("400M of memory were had within a limit of 64M")
	}
	r := w.Run("shell", "toy", "sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done")
	if r.Status == 0 || !strings.Contains(strings.ToLower(r.Stderr), "fork") {
		t.Errorf("60 processes within a limit of 40: exit status %d %s", r.Status, r.Stderr)
	}
	eventually(t, "the machine does not recover", func() bool { return w.Run("shell", "toy", "id").Status == 0 })
}

func TestStateSurvivesRebuild(t *testing.T) {
	toy := kit.NewToy(t)
	kit.NeedMachines(t)
	w := kit.NewWorld(t)
	file := kit.Write(t, w.Dir, "toy.yaml", toy.Machine("toy", "state: [/var/lib/kept]\n"))
	w.Up(t, file)
	inside(t, w, "echo precious > /var/lib/kept/file; echo lost > /root/file")
	kit.Write(t, w.Dir, "toy.yaml", toy.Machine("toy", "state: [/var/lib/kept]\npackages: [toy]\n"))
	w.Up(t, file)
	if got := inside(t, w, "cat /var/lib/kept/file /usr/share/toy/hello; cat /root/file 2>/dev/null || true"); got != "precious\nhello" {
		t.Errorf("after a rebuild: %q", got)
	}
	w.Must("down", "toy")
	w.Must("store", "gc")
	w.Up(t, file)
	if got := inside(t, w, "cat /var/lib/kept/file"); got != "precious" {
		t.Errorf("after down, gc and up: %q", got)
	}
	// A test has a state of its own.
	kit.Write(t, w.Dir, "toy.yaml", toy.Machine("toy", "state: [/var/lib/kept]\nprobes: [{name: empty, command: \"ls /var/lib/kept\", stdout: \"\"}]\n"))
	w.Must("test", file)
}

// Machines of one lab know each other by name.
func TestNamesInTheLab(t *testing.T) {
	toy := kit.NewToy(t)
	kit.NeedMachines(t)
	w := kit.NewWorld(t)
	before := w.Host(t)
	for _, name := range []string{"toy-one", "toy-two"} {
		w.Up(t, kit.Write(t, w.Dir, name+".yaml", toy.Machine(name, "")))
	}
	for _, name := range []string{"toy-one", "toy-two"} {
		r := w.Must("with", "toy-one", "--", "getent", "hosts", name)
		if !strings.Contains(w.Must("ls").Stdout, strings.Fields(r.Stdout)[0]) {
			t.Errorf("%s resolves to %s", name, r.Stdout)
		}
	}
	if r := w.Run("with", "toy-one", "--", "getent", "hosts", "three"); r.Status == 0 {
		t.Errorf("a name that nobody has resolves: %s", r.Stdout)
	}
	w.Must("down", "--all")
	if left := w.Settled(t, before); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}
