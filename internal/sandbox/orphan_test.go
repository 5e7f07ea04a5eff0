package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func init() {
	// A parent that starts a worker, whose program writes a file and sleeps.
	RegisterEntry("test:parent", func() int {
		h, err := Detect()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		p, err := h.Start(context.Background(), "test:run", runRequest{Root: os.Args[1], Args: []string{"probe", "daemon", "/bin/probe"}})
		if err == nil {
			err = p.Wait()
		}
		if err == nil {
			p, err = h.Start(context.Background(), "test:run", runRequest{Root: os.Args[1], Args: []string{"probe", "sleep", "299s"}})
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("started")
		p.Wait()
		return 1
	})
}

// TestKilledParent: nothing survives the kill -9 of slipway itself.
func TestKilledParent(t *testing.T) {
	testHost(t)
	root := testTree(t)
	c := exec.Command(executable)
	c.Args = []string{"test:parent", root}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, _ := out.Read(buf)
	if string(buf[:n]) != "started\n" {
		t.Fatalf("parent said %q", buf[:n])
	}
	if !eventually(func() bool { return running() > 0 }) {
		t.Error("the program was not seen running")
	}
	c.Process.Kill()
	c.Wait()
	if !eventually(func() bool { return running() == 0 }) {
		t.Errorf("%d processes outlived slipway", running())
	}
}

func eventually(ok func() bool) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// running counts processes of the sleeping probe that live in the tree: their
// command line is known, and it is unique to this test.
func running() int {
	n := 0
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range list {
		if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), "sleep\x00299s") {
			n++
		}
	}
	return n
}
