package container

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/internal/machine"
	"slipway/internal/sandbox"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// The tests boot a tiny tree whose init and whose only program are this test
// binary, under other names.

const treeWorker = "test.tree"

func init() {
	supervisor.Register(Driver{}, "container")
	sandbox.Register("test.remove", func(ctx context.Context, w *sandbox.Worker) error {
		var dir string
		if err := w.Args(&dir); err != nil {
			return err
		}
		return os.RemoveAll(dir)
	})
	sandbox.RegisterEntry("/init", tinyInit)
	sandbox.RegisterEntry("/bin/tool", tinyTool)
	sandbox.Register(treeWorker, func(ctx context.Context, w *sandbox.Worker) error {
		var paths [2]string
		if err := w.Args(&paths); err != nil {
			return err
		}
		return makeTree(paths[0], paths[1])
	})
}

// static gives this test binary in a form that runs without libraries.
var static = sync.OnceValues(func() (string, error) {
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer self.Close()
	linked := false
	for _, p := range self.Progs {
		linked = linked || p.Type == elf.PT_INTERP
	}
	if !linked {
		return "/proc/self/exe", nil
	}
	out := filepath.Join(scratch, "static.test")
	cmd := exec.Command("go", "test", "-c", "-o", out, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building it: %w\n%s", err, text)
	}
	return out, nil
})

// scratch lives as long as the tests of this package.
var scratch string

func TestMain(m *testing.M) {
	sandbox.Main()
	dir, err := os.MkdirTemp("", "container")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Chmod(dir, 0o755)
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func makeTree(dir, program string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"bin", "dev", "proc", "sys", "run", "etc", "root", "data", "bind"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := copyFile(program, filepath.Join(dir, "init")); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(dir, "init"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "data/first"), []byte("from the tree"), 0o600); err != nil {
		return err
	}
	return os.Link(filepath.Join(dir, "init"), filepath.Join(dir, "bin/tool"))
}

// tinyInit answers on port 80 until it is asked to end.
func tinyInit() int {
	if _, err := os.Stat("/boom"); err == nil {
		return 7
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGCHLD)
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("tiny init on the console")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "afloat\n")
			c.Close()
		}
	}()
	for s := range signals {
		switch s {
		case unix.SIGTERM:
			unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		case unix.SIGHUP:
			unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		case unix.SIGUSR1:
			return 9
		case unix.SIGCHLD:
			for {
				if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
	}
	return 1
}

func tinyTool() int {
	fail := func(err error) int {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "echo":
		fmt.Println(strings.Join(args, " "))
	case "exit":
		n, _ := strconv.Atoi(args[0])
		fmt.Fprintln(os.Stderr, "to the errors")
		return n
	case "write":
		return fail(os.WriteFile(args[0], []byte(args[1]), 0o644))
	case "cat":
		data, err := os.ReadFile(args[0])
		os.Stdout.Write(data)
		return fail(err)
	case "stdin":
		n, err := io.Copy(os.Stdout, os.Stdin)
		_ = n
		return fail(err)
	case "sleep":
		time.Sleep(time.Hour)
	case "where":
		dir, _ := os.Getwd()
		host, _ := os.Hostname()
		fmt.Println(os.Getuid(), dir, host, os.Getenv("HOME"), term.IsTerminal(0), len(os.Environ()))
	case "kill":
		n, _ := strconv.Atoi(args[0])
		return fail(unix.Kill(1, syscall.Signal(n)))
	case "resolve":
		ips, err := net.LookupHost(args[0])
		fmt.Println(ips)
		return fail(err)
	case "eat":
		var hold [][]byte
		for range 64 {
			b := make([]byte, 4<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			hold = append(hold, b)
		}
		fmt.Println(len(hold))
	case "get":
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return fail(err)
		}
		io.Copy(os.Stdout, c)
	}
	return 0
}

// tinySpec prepares a machine with the tiny tree, or skips the test.
func tinySpec(t *testing.T, name string) supervisor.Spec {
	t.Helper()
	host, err := sandbox.Detect()
	if err != nil {
		t.Skipf("no containers here: %v", err)
	}
	h, err := detectCgroups()
	if err == nil {
		_, err = h.base()
	}
	if err != nil {
		t.Skipf("no containers here: %v", err)
	}
	program, err := static()
	if err != nil {
		t.Skipf("no program for the tiny tree: %v", err)
	}
	dir, err := os.MkdirTemp("", "tiny") // t.TempDir has a long name, and cannot be removed by a user
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAs(host, dir) })
	tree := filepath.Join(dir, "tree")
	p, err := host.Start(context.Background(), treeWorker, [2]string{tree, program})
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Skipf("no containers here: %v", err)
	}
	return supervisor.Spec{
		Name: name, LayerDirs: []string{tree}, Key: "key-1", Runtime: filepath.Join(dir, "r"), RunDir: filepath.Join(dir, "run"),
		StateDir: filepath.Join(dir, "state"), Stop: 5 * time.Second,
		Definition: &machine.Definition{Name: name, Init: "/init", File: "/tiny.yaml"},
	}
}

func removeAs(host *sandbox.Host, dir string) {
	if p, err := host.Start(context.Background(), "test.remove", dir); err == nil {
		p.Wait()
	}
	os.RemoveAll(dir)
}

func up(t *testing.T, spec supervisor.Spec) *supervisor.Machine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := supervisor.Up(ctx, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := m.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	return settle(t, m)
}

// settle waits until the tiny init of the machine's present run listens.
func settle(t *testing.T, m *supervisor.Machine) *supervisor.Machine {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var log bytes.Buffer
		if err := m.ConsoleLog(context.Background(), &log, false); err != nil {
			t.Fatal(err)
		}
		if strings.Count(log.String(), "tiny init on the console") > m.Restarts {
			return m
		}
	}
	t.Fatal("the tiny init says nothing")
	return nil
}

// tool runs the tree's program and wants success.
func tool(t *testing.T, m *supervisor.Machine, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, errs, exit, err := m.Run(ctx, append([]string{"/bin/tool"}, args...)...)
	if err != nil || exit != 0 {
		t.Fatalf("%v: exit %d, %v\n%s%s", args, exit, err, out, errs)
	}
	return string(out)
}

// recordDir is where a machine is recorded.
func recordDir(spec supervisor.Spec) string {
	return filepath.Join(spec.Runtime, "machines", spec.Name)
}
