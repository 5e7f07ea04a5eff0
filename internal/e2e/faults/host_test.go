package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/e2e/kit"
)

// nobody runs a command as a normal user without anything.
func nobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make the host bad")
	}
}

func TestFaultsNoSpace(t *testing.T) {
	needRoot(t)
	r := newRig(t, "packages: [toy]\n")
	if err := os.Mkdir(r.Store, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"4m", "14m", "22m"} {
		if err := syscall.Mount("tmpfs", r.Store, "tmpfs", 0, "size="+size+",mode=700"); err != nil {
			t.Skipf("cannot mount a tmpfs: %v", err)
		}
		r.fails([]string{"build", r.file}, `space|full`, `gc|--store|free`)
		r.clean()
		if err := syscall.Unmount(r.Store, 0); err != nil {
			t.Fatal(err)
		}
	}
	r.worksNow()
}

func TestFaultsReadOnlyStore(t *testing.T) {
	needRoot(t)
	r := newRig(t, "packages: [toy]\n")
	r.Must("build", r.file)
	if err := syscall.Mount(r.Store, r.Store, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer syscall.Unmount(r.Store, syscall.MNT_DETACH)
	if err := syscall.Mount("", r.Store, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	r.fails([]string{"build", "--set", "packages=[toy, toy-extra]", r.file}, `read-only`, `--store`)
}

func TestFaultsNoPermission(t *testing.T) {
	needRoot(t)
	r := newRig(t, "packages: [toy]\n")
	closed := filepath.Join(r.Dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{filepath.Join(closed, "store"), "/proc/store"} {
		cmd := r.Command(context.Background(), "build", r.file, "--store", store)
		nobody(cmd)
		says(t, r.Finish(cmd), `store`, `--store|SLIPWAY_STORE`)
	}
}

// A user without newuidmap, and one without sub-ids.
func TestFaultsNoSubIDs(t *testing.T) {
	needRoot(t)
	r := newRig(t, "packages: [toy]\n")
	home := filepath.Join(r.Dir, "home")
	if err := os.Mkdir(home, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(home, 0o777)
	for _, c := range []struct{ path, want, remedy string }{
		{"/nowhere", `newuidmap`, `uidmap`},
		{os.Getenv("PATH"), `newuidmap|/etc/subuid`, `usermod|uidmap`},
	} {
		cmd := r.Command(context.Background(), "build", r.file, "--store", filepath.Join(home, "store"))
		cmd.Env = append(cmd.Env, "PATH="+c.path, "HOME="+home)
		nobody(cmd)
		says(t, r.Finish(cmd), c.want, c.remedy)
		doctor := r.Command(context.Background(), "doctor", "--store", filepath.Join(home, "store"))
		doctor.Env = append(doctor.Env, "PATH="+c.path, "HOME="+home)
		nobody(doctor)
		if out := r.Finish(doctor).Stdout; !strings.Contains(out, "fix: ") {
			t.Errorf("doctor has no cure:\n%s", out)
		}
	}
}

// A host that forbids user namespaces, as far as a namespace can be one.
func TestFaultsNoUserNamespaces(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs the program unshare to make a host without user namespaces")
	}
	plain := r.Command(context.Background(), "build", r.file)
	cmd := exec.Command(unshare, "--user", "--map-root-user", "sh", "-c",
		`echo 0 > /proc/sys/user/max_user_namespaces || exit 77; exec "$@"`, "sh", plain.Path, "build", r.file)
	cmd.Env, cmd.Dir = plain.Env, plain.Dir
	got := r.Finish(cmd)
	if got.Status == 77 || strings.HasPrefix(got.Stderr, "unshare:") {
		t.Skip("this user cannot make a host without user namespaces")
	}
	says(t, got, `user namespace`, `max_user_namespaces|sysctl`)
}

// A mirror that dies in the middle, and one that hangs: what it has sent is
// kept, and the next try goes on from there.
func TestFaultsMirrorDies(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	r.toy.Break(archivetest.Fault{Path: "dpkg_1.99", CutAt: 3 << 20})
	first := r.Run("build", r.file)
	r.clean()
	r.toy.Repair()
	if first.Status != 0 {
		says(t, first, `dpkg`)
	}
	r.Must("build", r.file)
}

// Ctrl-C and kill -9 at random moments, from the same seed every time.
func TestFaultsInterruptedBuild(t *testing.T) {
	r := newRig(t, "packages: [toy, toy-extra]\nfiles: [{path: /etc/motd, content: hello}]\n")
	key := r.Must("build", r.file, "--store", filepath.Join(r.Dir, "reference")).Stdout
	random := newRandom(t)
	for i := range rounds(24) {
		signal := []os.Signal{os.Interrupt, syscall.SIGKILL, syscall.SIGTERM}[i%3]
		r.interrupt(random.moment(900*time.Millisecond), signal, "build", r.file)
		r.gone("after a build that got " + fmt.Sprint(signal))
		if i%6 == 5 {
			if got := r.Must("build", r.file).Stdout; got != key {
				t.Errorf("after interruptions the key is %q, not %q", got, key)
			}
			r.same("reference")
			r.clean()
			r.Must("store", "gc")
		}
	}
}

func TestFaultsInterruptedUp(t *testing.T) {
	r := newRig(t, "")
	file := kit.Write(t, r.Dir, "machine.yaml", r.toy.Machine("toy", "packages: [toy]\nstate: [/var/lib/kept]\n"))
	before := r.Host(t)
	r.Up(t, file)
	r.Must("down", "toy")
	random := newRandom(t)
	for i := range rounds(24) {
		signal := []os.Signal{os.Interrupt, syscall.SIGKILL, syscall.SIGTERM}[i%3]
		verb := []string{"up", "test"}[i%2]
		r.interrupt(random.moment(250*time.Millisecond), signal, verb, file)
		if i%4 == 3 {
			r.Must("up", file)
			r.Must("shell", "toy", "id")
		}
		r.Must("down", "--all")
		if left := r.Settled(t, before); len(left) > 0 {
			t.Fatalf("round %d: %s of %v leaves:\n%s", i, verb, signal, strings.Join(left, "\n"))
		}
	}
}

// A script that hangs ends with the build when that is interrupted.
func TestFaultsHangingScript(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGKILL} {
		r := newRig(t, "packages: [hang]\n")
		r.toy.Add(archivetest.Deb{Name: "hang", Scripts: map[string]string{"postinst": "#!/bin/sh\ntrap '' INT TERM HUP\nsleep 1000\n"}})
		r.toy.Publish()
		got := r.interrupt(2*time.Second, signal, "build", r.file)
		if got.Took > 20*time.Second {
			t.Errorf("%v took %s to end a build with a hanging script", signal, got.Took)
		}
		if signal == os.Interrupt && got.Status != 130 {
			t.Errorf("interrupted, the exit status is %d\n%s", got.Status, got.Text())
		}
		r.gone("of a hanging script")
		r.worksNow()
		r.clean()
	}
}

// --debug-shell gives a person a shell in the tree in which a step failed, and
// discards the tree afterwards.
func TestFaultsDebugShell(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("needs the program script to make a terminal")
	}
	r := newRig(t, "packages: [toy]\nrun: [\"echo a bad idea; exit 3\"]\n")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	plain := r.Command(ctx, "build")
	cmd := exec.CommandContext(ctx, "sh", "-c", `(sleep 4; echo 'echo "seen: $(cat /usr/share/toy/hello)"'; sleep 1; echo exit; sleep 1) |
		"$1" -qec "$2 build --debug-shell $3" /dev/null`, "sh", script, plain.Path, r.file)
	cmd.Env, cmd.Dir = plain.Env, plain.Dir
	got := r.Finish(cmd)
	for _, want := range []string{"a bad idea", "a shell in the tree follows", "seen: hello"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("the terminal does not show %q:\n%s", want, got.Stdout)
		}
	}
	r.gone("of a debug shell")
	r.clean()
}
