package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// TestAsUser runs the other tests as a normal user, whose lab is made quite
// differently.
func TestAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("already a normal user")
	}
	if testing.Short() {
		t.Skip("short: repeats the other tests")
	}
	for _, tool := range []string{"useradd", "userdel", "newuidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: cannot make a normal user to test with", tool)
		}
	}
	name := fmt.Sprintf("swlab%d", os.Getpid())
	if out, err := exec.Command("useradd", "--no-create-home", name).CombinedOutput(); err != nil {
		t.Skipf("cannot make a normal user to test with: %v: %s", err, out)
	}
	defer exec.Command("userdel", name).Run()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	dir, err := os.MkdirTemp("/tmp", "slipway-lab")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	program := dir + "/lab.test"
	copyProgram(t, program)
	os.Mkdir(dir+"/tmp", 0o700)
	os.Chown(dir+"/tmp", uid, gid)
	c := exec.Command(program, "-test.v", "-test.short")
	c.Dir = dir
	c.Env = []string{"HOME=/", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir + "/tmp", "XDG_RUNTIME_DIR=" + dir + "/tmp"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("as %s: %v\n%s", name, err, out)
	} else {
		t.Logf("as %s:\n%s", name, out)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
