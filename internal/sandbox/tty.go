package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// runTerminal runs the program on a terminal of its own and carries bytes and
// window sizes between it and the caller's: the program never holds the
// caller's terminal, so it can neither type into it nor keep it.
func (s *stage) runTerminal(program string) (int, syscall.Signal, error) {
	master, slave, err := openTerminal()
	if err != nil {
		return 0, 0, err
	}
	if state, err := term.MakeRaw(0); err == nil {
		defer term.Restore(0, state)
	}
	resize(master)
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, unix.SIGWINCH)
	go func() {
		for range sizes {
			resize(master)
		}
	}()
	go io.Copy(master, os.Stdin)
	copied := make(chan struct{})
	go func() { io.Copy(os.Stdout, master); close(copied) }()
	fd := slave.Fd()
	code, sig, err := s.start(program, []uintptr{fd, fd, fd}, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0})
	slave.Close()
	if err == nil {
		<-copied
	}
	return code, sig, err
}

// openTerminal takes a new terminal from the tree's own /dev/pts.
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	return master, slave, nil
}

func resize(master *os.File) {
	if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, ws)
	}
}
