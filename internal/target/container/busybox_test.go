package container

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/sandbox"
	"slipway/internal/target/supervisor"
)

func init() {
	sandbox.Register("test.busybox", func(ctx context.Context, w *sandbox.Worker) error {
		var dir string
		if err := w.Args(&dir); err != nil {
			return err
		}
		for _, d := range []string{"bin", "sbin", "dev", "proc", "sys", "run", "etc", "root"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		if err := copyFile("/bin/busybox", filepath.Join(dir, "bin/busybox")); err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(dir, "bin/busybox"), 0o755); err != nil {
			return err
		}
		for link, target := range map[string]string{"sbin/init": "../bin/busybox", "bin/sh": "busybox", "bin/tty": "busybox"} {
			if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
				return err
			}
		}
		tab := "::sysinit:/bin/sh -c 'echo busybox is up'\n::shutdown:/bin/sh -c 'echo busybox says good-bye'\n"
		return os.WriteFile(filepath.Join(dir, "etc/inittab"), []byte(tab), 0o644)
	})
}

// TestBusybox boots another kind of init and ends it in its own way.
func TestBusybox(t *testing.T) {
	f, err := elf.Open("/bin/busybox")
	if err != nil {
		t.Skipf("no busybox on this host: %v", err)
	}
	defer f.Close()
	if f.Section(".dynamic") != nil && f.Section(".interp") != nil {
		t.Skip("the host's busybox is not a static one")
	}
	spec := tinySpec(t, "bb")
	host, err := sandbox.Detect()
	if err != nil {
		t.Skip(err)
	}
	tree := filepath.Join(filepath.Dir(spec.RunDir), "busybox")
	p, err := host.Start(context.Background(), "test.busybox", tree)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	spec.LayerDirs, spec.Definition.Init = []string{tree}, ""
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := supervisor.Up(ctx, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Down(context.Background())
	if m.Style != "busybox" {
		t.Errorf("the init counts as %s", m.Style)
	}
	out, _, exit, err := m.Run(ctx, "sh", "-c", "echo $0 $PPID; cat /etc/hostname; exit 4")
	if err != nil || exit != 4 {
		t.Errorf("sh: %q, exit %d, %v", out, exit, err)
	}
	var log bytes.Buffer
	following := make(chan error, 1)
	go func() { following <- m.ConsoleLog(ctx, &log, true) }()
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	if err := m.Down(ctx); err != nil {
		t.Fatal(err)
	}
	<-following
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("ending took %s: the init was killed, not asked", took)
	}
	for _, want := range []string{"busybox is up", "busybox says good-bye"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the console lacks %q:\n%s", want, log.String())
		}
	}
}
