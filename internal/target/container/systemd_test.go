package container

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

// TestSystemd boots a real tree, whose folder (owners shifted into the private
// range) SLIPWAY_TEST_TREE names.
func TestSystemd(t *testing.T) {
	tree := os.Getenv("SLIPWAY_TEST_TREE")
	if tree == "" {
		t.Skip("SLIPWAY_TEST_TREE names no tree with systemd")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	spec := supervisor.Spec{
		Name: "systemd-test", Definition: &machine.Definition{Name: "systemd-test", File: "/none.yaml", Ports: []machine.Port{{Host: 18080, Machine: 80}}}, Publish: true,
		LayerDirs: []string{tree}, Key: "k", Runtime: t.TempDir(), RunDir: t.TempDir() + "/run",
	}
	m, err := supervisor.Up(ctx, spec, func(p supervisor.Progress) { t.Logf("%+v", p) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.ConsoleLog(ctx, os.Stderr, false)
		}
		m.Down(context.Background())
	})
	start := time.Now()
	if m, err = m.WaitReady(ctx); err != nil || m.State != supervisor.Running {
		t.Fatalf("after %s: %+v %v", time.Since(start), m, err)
	}
	t.Logf("ready after %s", m.Ready.Sub(m.Started))
	out, errs, exit, err := m.Run(ctx, "systemctl", "is-system-running")
	t.Logf("%s %s %d %v", out, errs, exit, err)
	out, _, _, _ = m.Run(ctx, "systemctl", "--failed", "--no-legend")
	if strings.TrimSpace(string(out)) != "" {
		t.Errorf("failed units:\n%s", out)
	}
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		resp, err := http.Get("http://" + host + ":18080/")
		if err != nil {
			t.Errorf("through the port: %v", err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("through the port: %s", resp.Status)
		}
	}
	if err := m.Down(ctx); err != nil {
		t.Fatal(err)
	}
}
