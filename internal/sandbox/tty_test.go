package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	Register("test:terminal", func(ctx context.Context, w *Worker) error {
		var root string
		if err := w.Args(&root); err != nil {
			return err
		}
		tty := w.Files[0]
		res, err := Run(ctx, Command{Root: root, Args: []string{"probe", "terminal"}, Stdin: tty, Stdout: tty, Stderr: tty, Terminal: true, Timeout: 10 * time.Second})
		w.Emit(res.Code)
		if _, ok := err.(*ExitError); ok {
			return nil
		}
		return err
	})
}

// TestRunTerminal plays the person at a terminal.
func TestRunTerminal(t *testing.T) {
	root := testTree(t)
	master, slave := testTerminal(t)
	p, err := testHost(t).StartWith(t.Context(), "test:terminal", root, StartOptions{Files: []*os.File{slave}})
	if err != nil {
		t.Fatal(err)
	}
	master.SetReadDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(master)
	line := func() string {
		s, err := in.ReadString('\n')
		if err != nil {
			p.Kill()
			t.Fatalf("reading the terminal: %v (%v)", err, p.Wait())
		}
		return strings.TrimSpace(s)
	}
	if got := line(); got != "/dev/pts/0 40x100" {
		t.Errorf("the program's terminal: %q", got)
	}
	master.WriteString("hello\n")
	for _, want := range []string{"hello", "read hello"} { // the inner terminal's echo comes first
		if got := line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	master.WriteString("\x03") // becomes SIGINT for the program, not for the worker
	if got := string(<-p.Events()); got != "130" {
		t.Errorf("ended with %s", got)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func testTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100})
	}
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "master")
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close(); master.Close() })
	return master, slave
}

func probeTerminal() {
	name, _ := os.Readlink("/proc/self/fd/0")
	ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		fmt.Println(name, err)
		return
	}
	fmt.Printf("%s %dx%d\n", name, ws.Row, ws.Col)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("read", in.Text())
	}
}
