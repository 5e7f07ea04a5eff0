package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
	"slipway/internal/probe"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

func TestCommands(t *testing.T) {
	m := up(t, tinySpec(t, "tiny"))
	ctx := context.Background()
	if got := tool(t, m, "where"); got != "0 /root tiny /root false 6\n" {
		t.Errorf("where: %q", got)
	}
	_, errs, exit, err := m.Run(ctx, "/bin/tool", "exit", "42")
	if err != nil || exit != 42 || string(errs) != "to the errors\n" {
		t.Errorf("exit: %d %q %v", exit, errs, err)
	}
	if _, _, _, err := m.Run(ctx, "no-such-program"); err == nil || !strings.Contains(err.Error(), "has no program no-such-program") {
		t.Errorf("a missing program: %v", err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB: more than the windows of all hops
	var out bytes.Buffer
	exit, err = m.Exec(ctx, supervisor.Command{Args: []string{"/bin/tool", "stdin"}, Stdin: bytes.NewReader(big), Stdout: &out})
	if err != nil || exit != 0 || !bytes.Equal(out.Bytes(), big) {
		t.Errorf("through and back: %d bytes, exit %d, %v", out.Len(), exit, err)
	}
	start := time.Now()
	_, err = m.Exec(ctx, supervisor.Command{Args: []string{"/bin/tool", "sleep"}, MS: 200})
	if err == nil || !strings.Contains(err.Error(), "did not end within 200ms") || time.Since(start) > 5*time.Second {
		t.Errorf("deadline: %v after %s", err, time.Since(start))
	}
}

func TestCopy(t *testing.T) {
	m := up(t, tinySpec(t, "tiny"))
	ctx := context.Background()
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a/b"), 0o750)
	os.WriteFile(filepath.Join(dir, "a/b/file"), []byte("content"), 0o640)
	os.Symlink("b/file", filepath.Join(dir, "a/link"))
	if err := m.CopyIn(ctx, filepath.Join(dir, "a"), "/root"); err != nil {
		t.Fatal(err)
	}
	if got := tool(t, m, "cat", "/root/a/link"); got != "content" {
		t.Errorf("inside: %q", got)
	}
	if err := m.CopyOut(ctx, "/root/a", filepath.Join(dir, "back")); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, "back/b/file"))
	if err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("back: %v %v", st, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "back/link")); target != "b/file" {
		t.Errorf("link: %q %v", target, err)
	}
	if err := m.CopyOut(ctx, "/nowhere", dir); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestReach(t *testing.T) {
	spec := tinySpec(t, "tiny")
	m := up(t, spec)
	other := spec
	other.Name, other.RunDir = "other", spec.RunDir+"2"
	def := *spec.Definition
	def.Name = "other"
	other.Definition = &def
	second := up(t, other)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := m.Reach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, host := range []string{r.Address().String(), "tiny", "other"} {
		c, err := r.Dial(ctx, "tcp", net.JoinHostPort(host, "80"))
		if err != nil {
			t.Errorf("dialling %s: %v", host, err)
			continue
		}
		if got, err := io.ReadAll(c); string(got) != "afloat\n" {
			t.Errorf("%s said %q, %v", host, got, err)
		}
		c.Close()
	}
	if _, err := r.Dial(ctx, "tcp", r.Address().String()+":81"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
	if got := tool(t, second, "get", "tiny:80"); got != "afloat\n" {
		t.Errorf("from one machine to the other: %q", got)
	}
	res, err := r.Exec(ctx, probe.ExecRequest{Args: []string{"/bin/tool", "stdin"}, Stdin: []byte("in")})
	if err != nil || string(res.Stdout) != "in" {
		t.Errorf("exec: %+v %v", res, err)
	}
	if _, err := r.Exec(ctx, probe.ExecRequest{Args: []string{"/bin/tool", "sleep"}, Timeout: 100 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hung command: %v", err)
	}
	if u, err := r.Usage(ctx); err != nil || u.Disk == 0 {
		t.Errorf("usage: %+v %v", u, err)
	}
	d, err := m.Inspect(ctx)
	if err != nil || len(d.Listening) == 0 || !strings.HasSuffix(d.Listening[0], ":80") || d.PID == 0 {
		t.Errorf("inspect: %+v %v", d, err)
	}
}

func TestStorage(t *testing.T) {
	spec := tinySpec(t, "tiny")
	host := t.TempDir()
	os.Chmod(filepath.Dir(host), 0o755)
	os.WriteFile(filepath.Join(host, "there"), []byte("host"), 0o644)
	spec.Definition.State = []string{"/data"}
	spec.Definition.Container.Binds = []machine.Bind{{Host: host, Path: "/bind/rw"}, {Host: host, Path: "/bind/ro", ReadOnly: true}}
	spec.Definition.Shares = []machine.Share{{Host: host, Path: "/bind/shared", ReadOnly: true}}
	m := up(t, spec)
	if got := tool(t, m, "cat", "/bind/shared/there"); got != "host" {
		t.Errorf("reading a share: %q", got)
	}
	if got := tool(t, m, "cat", "/data/first"); got != "from the tree" {
		t.Errorf("a new volume: %q", got)
	}
	tool(t, m, "write", "/data/second", "kept")
	tool(t, m, "write", "/root/gone", "x")
	tool(t, m, "write", "/bind/rw/made", "by root")
	if st, err := os.Stat(filepath.Join(host, "made")); err != nil {
		t.Errorf("written through the bind: %v", err)
	} else if os.Geteuid() == 0 && st.Sys().(*unixStat).Uid != 0 {
		t.Errorf("the file belongs to %d", st.Sys().(*unixStat).Uid)
	}
	_, errs, exit, _ := m.Run(context.Background(), "/bin/tool", "write", "/bind/ro/made", "x")
	if exit == 0 || !strings.Contains(string(errs), "read-only file system") {
		t.Errorf("writing a read-only bind: %d %s", exit, errs)
	}
	if got := tool(t, m, "cat", "/bind/ro/there"); got != "host" {
		t.Errorf("reading a bind: %q", got)
	}
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	spec.Keep = true
	m = up(t, spec)
	if got := tool(t, m, "cat", "/data/second"); got != "kept" {
		t.Errorf("the volume: %q", got)
	}
	if _, _, exit, _ := m.Run(context.Background(), "/bin/tool", "cat", "/root/gone"); exit == 0 {
		t.Error("an ephemeral write is still there")
	}
	tool(t, m, "write", "/root/stays", "y")
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	changed := spec
	changed.Key = "key-2"
	if _, err := supervisor.Up(context.Background(), changed, nil); err == nil || !strings.Contains(err.Error(), "kept for build key-1") {
		t.Errorf("another build over kept writes: %v", err)
	}
	changed = spec
	changed.Keep = false
	if _, err := supervisor.Up(context.Background(), changed, nil); err == nil || !strings.Contains(err.Error(), "--keep goes on with it") {
		t.Errorf("kept writes thrown away unasked: %v", err)
	}
	m = up(t, spec)
	if got := tool(t, m, "cat", "/root/stays"); got != "y" {
		t.Errorf("a kept write: %q", got)
	}
	if err := m.Restart(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	waitUp(t, spec)
	if _, _, exit, _ := m.Run(context.Background(), "/bin/tool", "cat", "/root/stays"); exit == 0 {
		t.Error("a reset left writes")
	}
	tool(t, m, "write", "/root/stays", "z")
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	spec.Keep, spec.Discard = false, true
	m = up(t, spec)
	if _, _, exit, _ := m.Run(context.Background(), "/bin/tool", "cat", "/root/stays"); exit == 0 {
		t.Error("what was to be thrown away is still there")
	}
	if err := m.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(spec.RunDir); err == nil {
		t.Error("the run folder of a machine that keeps nothing is still there")
	}
}
