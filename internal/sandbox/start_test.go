package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWorkerTalks(t *testing.T) {
	p, err := testHost(t).Start(t.Context(), "test:echo", "hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"a", "b"} {
		if err := p.Send(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range p.Events() {
		got = append(got, string(e))
	}
	if want := `"hello" "got a" "got b"`; strings.Join(got, " ") != want {
		t.Errorf("events %v, want %s", got, want)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestWorkerErrors(t *testing.T) {
	h := testHost(t)
	if _, err := h.Start(t.Context(), "test:unknown", nil); err == nil {
		t.Error("an unknown worker was started")
	}
	for send, want := range map[string]string{
		"fail": "asked to fail", "panic": "asked to panic", "exit": "exit status 7\nlast words",
	} {
		p, err := h.Start(t.Context(), "test:echo", "x")
		if err != nil {
			t.Fatal(err)
		}
		p.Send(send)
		if err := p.Wait(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", send, err, want)
		}
	}
}

func TestWorkerCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := testHost(t).Start(ctx, "test:echo", "x")
	if err != nil {
		t.Fatal(err)
	}
	p.Send("hang")
	<-p.Events()
	cancel()
	start := time.Now()
	if err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	if d := time.Since(start); d > grace-time.Second {
		t.Errorf("took %s: the worker did not hear SIGTERM", d)
	}
}

func init() {
	inWorker["ids"] = func(dir string, w *Worker) error {
		name := filepath.Join(dir, "tree")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		if err := os.Chown(name, 33, 65535); err != nil {
			return err
		}
		own := filepath.Join(dir, "own")
		if err := os.WriteFile(own, nil, 0o600); err != nil {
			return err
		}
		if err := os.Chown(own, SelfID, SelfID); err != nil {
			return err
		}
		return w.Emit(fmt.Sprint(os.Getuid(), os.Getgid()))
	}
}

func TestWorkerIDs(t *testing.T) {
	h := testHost(t)
	dir := testDir(t)
	if got := inside(t, "ids", dir); len(got) != 1 || got[0] != `"0 0"` {
		t.Errorf("ids inside: %v", got)
	}
	for name, want := range map[string][2]int64{
		"tree": {h.UIDs.Start + 33, h.GIDs.Start + 65535},
		"own":  {int64(h.UID), int64(h.GID)},
	} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if int64(st.Uid) != want[0] || int64(st.Gid) != want[1] {
			t.Errorf("%s belongs to %d:%d outside, want %v", name, st.Uid, st.Gid, want)
		}
	}
}

func TestWorkerFiles(t *testing.T) {
	h := testHost(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := h.StartWith(t.Context(), "test:func", []string{"files", ""}, StartOptions{Files: []*os.File{w}, Net: true})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, _ := r.Read(buf)
	if string(buf[:n]) != "|1" {
		t.Errorf("read %q through an inherited file", buf[:n])
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func init() {
	inWorker["files"] = func(_ string, w *Worker) error {
		ifs, err := os.ReadDir("/proc/self/net/dev_snmp6")
		n := "0"
		if err == nil {
			n = strconv.Itoa(len(ifs))
		}
		_, err = w.Files[0].WriteString(w.Files[0].Name()[:1] + n)
		return err
	}
}

func TestParseSubIDs(t *testing.T) {
	tests := []struct {
		text string
		want Range
		ok   bool
	}{
		{"", Range{}, false},
		{"me:100000:65536\n", Range{100000, 65536}, true},
		{"1000:200000:65536\n", Range{200000, 65536}, true},
		{"you:1:65536\nme:5:10\nme:100000:65536\n", Range{100000, 65536}, true},
		{"me:x:65536\nme:1\nme:1:2:3\n# me\n:1:1\n", Range{}, false},
		{"me:4294967295:65536\nme:-1:65536\n", Range{}, false},
	}
	for _, tt := range tests {
		got, ok := parseSubIDs(strings.NewReader(tt.text), "me", 1000)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%q: got %v %v, want %v %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseSubIDs(f *testing.F) {
	f.Add("me:100000:65536\n")
	f.Add("::\nme:1:99999999999\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseSubIDs(strings.NewReader(text), "me", 1000)
		if ok != (r.Count > 0) || r.Start < 0 || r.Start+r.Count > 1<<32 {
			t.Errorf("%q: %v %v", text, r, ok)
		}
	})
}

func TestMapCovers(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 100000 65536\n":                   false,
		"0 0 1000\n1879113728 5 65536\n":     true,
		"1879113728 5 65535\n":               false,
		"":                                   false,
		"a b c\n":                            false,
		"1879113729 5 65536\n0 0 1 1\n1879113728 1\n": false,
	} {
		if got := mapCovers(text, rootStart, idCount); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestAsUser runs the other tests as a normal user, because a test run by root
// would never see that half of the code.
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
	name := fmt.Sprintf("swtest%d", os.Getpid())
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
	dir, err := os.MkdirTemp("/tmp", "slipway-user")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	copyFile(t, "/proc/self/exe", dir+"/sandbox.test")
	os.Mkdir(dir+"/tmp", 0o700)
	os.Chown(dir+"/tmp", uid, gid)
	c := exec.Command(dir+"/sandbox.test", "-test.v", "-test.short")
	c.Dir = dir
	c.Env = []string{"HOME=/", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir + "/tmp"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("as %s: %v\n%s", name, err, out)
	} else {
		t.Logf("as %s:\n%s", name, out)
	}
	if strings.Contains(string(out), "cannot start workers") {
		t.Log("the user's half was skipped, see above")
	}
}

var _ = json.RawMessage(nil)

// A user's worker that dies before its ids are mapped, as one does whose
// caller is interrupted, must not hold its caller.
func TestStartOfADyingWorker(t *testing.T) {
	host, err := Detect()
	if err != nil {
		t.Skip("no worker can be started here: " + err.Error())
	}
	if host.Root {
		host = &Host{Root: false, UIDs: host.UIDs, GIDs: host.GIDs, NewUIDMap: "/bin/false", NewGIDMap: "/bin/false", lastCap: host.lastCap}
	} else {
		host.NewUIDMap = "/bin/false"
	}
	ended := make(chan error, 1)
	go func() {
		_, err := host.Start(t.Context(), "test:echo", nil)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("ids were mapped by /bin/false")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the caller waits for ever")
	}
}
