package sandbox

import (
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testTree makes a small tree with the probe program in it.
func testTree(t testing.TB) string {
	t.Helper()
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Skip("the test program is not static (built with -race or cgo), so it cannot run in an empty tree")
		}
	}
	root := filepath.Join(testDir(t), "root")
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(root, "tmp"), 0o777)
	copyFile(t, "/proc/self/exe", filepath.Join(root, "bin/probe"))
	return root
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
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

// doRun runs req in a worker and gives its answer.
func doRun(t testing.TB, req runRequest) runAnswer {
	t.Helper()
	p, err := testHost(t).Start(t.Context(), "test:run", req)
	if err != nil {
		t.Fatal(err)
	}
	var ans runAnswer
	for e := range p.Events() {
		if err := json.Unmarshal(e, &ans); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return ans
}

func TestRunOutcome(t *testing.T) {
	root := testTree(t)
	tests := []struct {
		name string
		req  runRequest
		code int
		out  string
		err  string // part of the error; empty: none
	}{
		{"ok", runRequest{Args: []string{"probe", "exit", "0"}}, 0, "", ""},
		{"code", runRequest{Args: []string{"/bin/probe", "exit", "3"}}, 3, "", "running /bin/probe exit 3: exit code 3"},
		{"signal", runRequest{Args: []string{"probe", "abort"}}, 128 + 15, "", "ended by signal 15"},
		{"stdin", runRequest{Args: []string{"probe", "cat"}, Stdin: "through"}, 0, "through", ""},
		{"missing", runRequest{Args: []string{"nothing"}}, 0, "", "finding nothing: not in /usr/local/sbin"},
		{"missing path", runRequest{Args: []string{"/bin/nothing"}}, 0, "", "starting /bin/nothing: no such file"},
		{"environment", runRequest{Args: []string{"probe", "env"}, Env: []string{"A=1", "HOME=/"}}, 0,
			"A=1\nHOME=/\nLANG=C.UTF-8\nPATH=" + DefaultPath + "\n", ""},
		{"left behind", runRequest{Args: []string{"probe", "daemon", "/bin/probe"}}, 0, "started\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SLIPWAY_TEST_LEAK", "1")
			tt.req.Root = root
			start := time.Now()
			got := doRun(t, tt.req)
			if got.Result.Code != tt.code || got.Out != tt.out {
				t.Errorf("code %d, output %q; want %d, %q (stderr %q)", got.Result.Code, got.Out, tt.code, tt.out, got.Err)
			}
			if tt.err == "" && got.Error != "" || !strings.Contains(got.Error, tt.err) {
				t.Errorf("error %q, want %q", got.Error, tt.err)
			}
			if d := time.Since(start); d > 4*time.Second {
				t.Errorf("took %s: something was waited for", d)
			}
		})
	}
}

func TestRunFacts(t *testing.T) {
	root := testTree(t)
	got := doRun(t, runRequest{Root: root, Args: []string{"probe", "facts"}})
	for _, want := range []string{
		"hostname localhost", "ids 0 0", "groups 0", "umask 022", "interface lo true", "processes 2",
		"NoNewPrivs: 0", "Seccomp: 2", "CapEff: 00000000a80405ff",
		"dev null true", "dev urandom true", "dev ptmx true", "dev shm true", "dev fd/0 true", "ptmx <nil>", "write null <nil>",
	} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("no %q in:\n%s", want, got.Out)
		}
	}
	if n := strings.Count(got.Out, "interface "); n != 1 {
		t.Errorf("%d network interfaces, want lo alone", n)
	}
	for _, line := range strings.Split(got.Out, "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "fd" && f[1] > "2" && !strings.HasPrefix(f[2], "/proc") {
			t.Errorf("inherited %s", line)
		}
	}
	user := doRun(t, runRequest{Root: root, Args: []string{"probe", "facts"}, UID: 65534})
	for _, want := range []string{"ids 65534 65534", "CapEff: 0000000000000000"} {
		if !strings.Contains(user.Out, want) {
			t.Errorf("as another id: no %q in:\n%s%s", want, user.Out, user.Error)
		}
	}
}

func TestRunNoSync(t *testing.T) {
	root := testTree(t)
	for _, noSync := range []bool{false, true} {
		got := doRun(t, runRequest{Root: root, Args: []string{"probe", "sync"}, NoSync: noSync})
		lines := strings.Split(strings.TrimSpace(got.Out), "\n")
		if len(lines) != 4 {
			t.Fatalf("the probe ended early: %s%s", got.Out, got.Error)
		}
		for _, line := range lines {
			if done := strings.HasSuffix(line, "<nil>"); done != noSync {
				t.Errorf("NoSync %v: %s", noSync, line)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	root := testTree(t)
	got := doRun(t, runRequest{Root: root, Args: []string{"probe", "calls"}})
	want := map[string]string{
		"clone3": "function not implemented", "network": "network is unreachable",
		"dotdot": "no such file or directory", "proc-root": "no such file or directory",
		"mkfifo": "<nil>", "chown": "<nil>", "setuid-bit": "<nil>", "chroot": "<nil>",
	}
	lines := strings.Split(strings.TrimSpace(got.Out), "\n")
	if len(lines) < 25 {
		t.Fatalf("the probe ended early: %s%s", got.Out, got.Error)
	}
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		expect := want[name]
		if expect == "" {
			expect = "operation not permitted"
		}
		if strings.HasPrefix(name, "proc-") && (text == "read-only file system" || text == "permission denied" || text == "no such file or directory") {
			continue // as the kernel and the caller's rights have it; never open
		}
		if text != expect {
			t.Errorf("%s: %s; want %s", name, text, expect)
		}
	}
}

func TestRunTimeout(t *testing.T) {
	root := testTree(t)
	start := time.Now()
	got := doRun(t, runRequest{Root: root, Args: []string{"probe", "sleep", "60s"}, Timeout: 200 * time.Millisecond})
	if !got.Result.TimedOut || !got.Exit || !strings.Contains(got.Error, "time limit") {
		t.Errorf("got %+v", got)
	}
	got = doRun(t, runRequest{Root: root, Args: []string{"probe", "sleep", "60s"}, Cancel: 200 * time.Millisecond})
	if got.Result.TimedOut || got.Exit || !strings.Contains(got.Error, "deadline exceeded") {
		t.Errorf("cancelled: got %+v", got)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestRunMountPoints(t *testing.T) {
	root := testTree(t)
	outside := testDir(t)
	secret := filepath.Join(outside, "resolv")
	if err := os.WriteFile(secret, []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(root, "dev"))
	// A dangling link, as systemd-resolved leaves it; it must be made in the
	// tree, not at that path of the host.
	link := "/slipway-test-nowhere/resolv.conf"
	if err := os.Symlink(link, filepath.Join(root, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	got := doRun(t, runRequest{Root: root, Args: []string{"probe", "read", "/etc/resolv.conf"}, Network: true, Resolv: secret, RunTmpfs: true,
		Binds: []Bind{{Source: outside, Target: "/mnt/a/b", ReadOnly: true}}})
	if got.Out != "nameserver 192.0.2.53\n" {
		t.Errorf("resolv.conf: %q, %s", got.Out, got.Error)
	}
	got = doRun(t, runRequest{Root: root, Args: []string{"probe", "write", "/mnt/new"}, Binds: []Bind{{Source: outside, Target: "/mnt", ReadOnly: true}}})
	if !strings.Contains(got.Out, "read-only file system") {
		t.Errorf("a read-only bind was written to: %q %s", got.Out, got.Error)
	}
	for _, gone := range []string{"dev", "mnt", "run", "slipway-test-nowhere"} {
		if _, err := os.Lstat(filepath.Join(root, gone)); err == nil {
			t.Errorf("mount point %s was left in the tree", gone)
		}
	}
	if _, err := os.Lstat("/slipway-test-nowhere"); err == nil {
		t.Error("a link of the tree was followed on the host")
	}
}

func TestRunEscapeByLink(t *testing.T) {
	root := testTree(t)
	victim := testDir(t)
	os.RemoveAll(filepath.Join(root, "dev"))
	if err := os.Symlink(victim, filepath.Join(root, "dev")); err != nil {
		t.Fatal(err)
	}
	got := doRun(t, runRequest{Root: root, Args: []string{"probe", "exit", "0"}})
	if got.Error != "" {
		t.Errorf("a /dev that is a link inside the tree: %s", got.Error)
	}
	if entries, _ := os.ReadDir(victim); len(entries) != 0 {
		t.Errorf("written outside of the tree: %v", entries)
	}
}

func BenchmarkRun(b *testing.B) {
	root := testTree(b)
	got := doRun(b, runRequest{Root: root, Args: []string{"probe", "exit", "0"}, Times: b.N})
	b.ReportMetric(float64(got.Took.Microseconds())/float64(b.N), "µs/run")
}
