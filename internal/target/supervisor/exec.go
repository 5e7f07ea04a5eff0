package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Command is a program to run in a machine, as root, without a shell.
type Command struct {
	Args           []string
	Env            []string // added to the machine's defined environment
	Dir            string   // default /root
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       *os.File // the caller's terminal: it is made raw, and the program gets one of the same size
	MS             int      // deadline in milliseconds; 0: none
}

// Exec runs a command and returns its exit status, 128 and more for a signal.
// An error means that it could not be run.
func (m *Machine) Exec(ctx context.Context, c Command) (int, error) {
	session, err := m.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	req := wire.Request{Op: "exec", Args: c.Args, Env: c.Env, Dir: c.Dir, MS: c.MS}
	if c.Terminal != nil {
		req.TTY = true
		req.Cols, req.Rows, _ = term.GetSize(int(c.Terminal.Fd()))
		req.Env = append([]string{"TERM=" + termName()}, req.Env...)
	}
	st, err := session.Open(req)
	if err != nil {
		return 0, fmt.Errorf("reaching machine %s: %w", m.Name, err)
	}
	if c.Terminal != nil {
		restore, err := rawTerminal(c.Terminal, st)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	finish := copyStreams(st, c)
	reply, err := st.Wait(ctx)
	finish()
	if err != nil {
		return reply.Exit, fmt.Errorf("running %s in %s: %w", c.Args[0], m.Name, err)
	}
	return reply.Exit, nil
}

func termName() string {
	if t := os.Getenv("TERM"); t != "" {
		return t
	}
	return "dumb"
}

// copyStreams connects the command's channels; the function that it returns
// waits for the last output.
func copyStreams(st *wire.Stream, c Command) func() {
	go func() {
		if c.Stdin != nil {
			io.Copy(st.Writer(wire.Input), c.Stdin)
		}
		st.Writer(wire.Input).Close()
	}()
	var wg sync.WaitGroup
	for ch, w := range map[int]io.Writer{wire.Output: c.Stdout, wire.Errors: c.Stderr} {
		if w == nil {
			w = io.Discard
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := io.Copy(w, st.Reader(ch)); err != nil {
				st.Reset() // the reader of our output is gone
			}
		}()
	}
	return wg.Wait
}

// rawTerminal passes keys through and follows the size of the window.
func rawTerminal(t *os.File, st *wire.Stream) (func(), error) {
	old, err := term.MakeRaw(int(t.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	go func() {
		for {
			select {
			case <-resized:
				cols, rows, err := term.GetSize(int(t.Fd()))
				if err == nil {
					st.SendControl(wire.Control{Rows: rows, Cols: cols})
				}
			case <-st.Over():
				return
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		term.Restore(int(t.Fd()), old)
	}, nil
}

// maxOutput bounds what Run keeps of a command's output.
const maxOutput = 8 << 20

// Run runs a command and collects its output.
func (m *Machine) Run(ctx context.Context, args ...string) (stdout, stderr []byte, exit int, err error) {
	out, errs := &bounded{max: maxOutput}, &bounded{max: maxOutput}
	exit, err = m.Exec(ctx, Command{Args: args, Stdout: out, Stderr: errs})
	return out.Bytes(), errs.Bytes(), exit, err
}

// bounded keeps the first bytes and counts nothing else.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Console connects a terminal with the machine's console until the user types
// ctrl-] or ctx ends.
func (m *Machine) Console(ctx context.Context, t *os.File) error {
	session, err := m.Connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	st, err := session.Open(wire.Request{Op: "console"})
	if err != nil {
		return fmt.Errorf("reaching the console of %s: %w", m.Name, err)
	}
	restore, err := rawTerminal(t, st)
	if err != nil {
		return err
	}
	defer restore()
	stop := context.AfterFunc(ctx, st.Reset)
	defer stop()
	go func() {
		const escape = 0x1d // ctrl-]
		buf := make([]byte, 256)
		for {
			n, err := t.Read(buf)
			if i := bytes.IndexByte(buf[:n], escape); i >= 0 || err != nil {
				st.Reset()
				return
			}
			if st.SendData(wire.Input, buf[:n]) != nil {
				return
			}
		}
	}()
	_, err = io.Copy(t, st.Reader(wire.Output))
	if errors.Is(err, wire.ErrClosed) {
		err = nil
	}
	return err
}
