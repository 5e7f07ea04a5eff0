package run

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// TestHello is the README's first command and what a person does next, on a
// real Debian with systemd and a web server.
func TestHello(t *testing.T) {
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	w := kit.SharedWorld(t)
	before := w.Host(t)
	port := freePort(t)
	file := filepath.Join(kit.Root(), "gallery/hello.yaml")
	name := "hello-e2e"
	args := func(more ...string) []string {
		return append([]string{"up", file, "--set", "name=" + name, "--set", fmt.Sprintf(`ports=["%d:80"]`, port)}, more...)
	}
	first := w.Run(args()...)
	if first.Status == 1 && strings.Contains(first.Stderr, "cgroup") {
		t.Skipf("this user cannot start machines here: %s", strings.TrimSpace(first.Stderr))
	}
	if first.Status != 0 {
		t.Fatalf("exit status %d\n%s", first.Status, first.Text())
	}
	t.Logf("up took %s\n%s", first.Took, first.Stdout)

	t.Run("page", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			if got := get(t, fmt.Sprintf("http://%s:%d/", host, port)); got != "afloat\n" {
				t.Errorf("%s says %q", host, got)
			}
		}
	})
	t.Run("again", func(t *testing.T) {
		r := w.Must(args()...)
		if !strings.Contains(r.Stderr, "unchanged") {
			t.Errorf("a second up did something:\n%s", r.Text())
		}
		t.Logf("an up with nothing to do took %s", r.Took)
	})
	t.Run("shell", func(t *testing.T) {
		if out := w.Must("shell", name, "systemctl", "is-system-running").Stdout; out != "running\n" {
			t.Errorf("systemd says %q", out)
		}
		out := w.Must("shell", name, "cat", "/proc/1/comm", "/proc/sys/kernel/hostname").Stdout
		if out != "systemd\n"+name+"\n" {
			t.Errorf("process 1 and host name: %q", out)
		}
	})
	t.Run("zombies", func(t *testing.T) {
		w.Must("shell", name, "sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 &) ; done")
		time.Sleep(500 * time.Millisecond)
		if out := w.Must("shell", name, "sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status || true").Stdout; out != "" {
			t.Errorf("zombies: %s", out)
		}
	})
	t.Run("logs", func(t *testing.T) {
		if out := w.Must("logs", name).Stdout; !strings.Contains(out, "nginx") {
			t.Errorf("the journal does not speak of nginx:\n%.2000s", out)
		}
	})
	t.Run("inspect", func(t *testing.T) {
		var d struct {
			Listening []string
			Ports     []string
			Memory    int64
			Boot      float64
		}
		if err := json.Unmarshal([]byte(w.Must("inspect", "--json", name).Stdout), &d); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(d.Listening, " "), ":80") || d.Memory <= 0 || d.Boot <= 0 || len(d.Ports) != 2 {
			t.Errorf("inspect: %+v", d)
		}
	})
	t.Run("with", func(t *testing.T) {
		if out := w.Must("with", name, "--", "getent", "hosts", name).Stdout; !strings.Contains(out, name) {
			t.Errorf("names: %q", out)
		}
	})
	t.Run("test beside it", func(t *testing.T) {
		w.Must("shell", name, "touch", "/root/mark")
		w.Must("test", file, "--set", "name="+name)
		w.Must("shell", name, "ls", "/root/mark")
	})
	t.Run("change", func(t *testing.T) {
		r := w.Must(args("--set", `files=[{path: /var/www/html/index.html, content: "afloat again\n"}]`)...)
		if !strings.Contains(r.Stderr, name+" restarts: ") {
			t.Errorf("a changed definition does not say what restarts:\n%s", r.Text())
		}
		if got := get(t, fmt.Sprintf("http://127.0.0.1:%d/", port)); got != "afloat again\n" {
			t.Errorf("after a change the page is %q", got)
		}
		t.Logf("a changed file took %s", r.Took)
	})
	t.Run("down", func(t *testing.T) {
		w.Must("down", name)
		if left := w.Settled(t, before); len(left) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
		if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			c.Close()
			t.Error("the port still answers")
		}
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}
