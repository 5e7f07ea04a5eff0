package sshway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Client is a small ssh client for hosts that have none.
type Client struct {
	Machine  string
	User     string
	Key      ssh.Signer
	HostKeys []ssh.PublicKey // one of these must be the server's

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       *os.File // a terminal of the caller's, when there is to be one at the other end
}

// Run logs in over conn and runs a command as the user's shell understands
// it, or a shell when it is empty. It returns the exit status, 128 and more
// for a signal, and closes conn.
func (c *Client) Run(ctx context.Context, conn net.Conn, command string) (int, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	over, channels, requests, err := ssh.NewClientConn(conn, Alias(c.Machine), &ssh.ClientConfig{
		User: c.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(c.Key)},
		HostKeyCallback: c.checkHost, HostKeyAlgorithms: c.algorithms(),
	})
	if err != nil {
		return 0, fmt.Errorf("logging in to %s as %s: %w", c.Machine, c.User, err)
	}
	client := ssh.NewClient(over, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return 0, fmt.Errorf("opening a session on %s: %w", c.Machine, err)
	}
	defer session.Close()
	session.Stdout, session.Stderr = c.Stdout, c.Stderr
	restore, err := c.terminal(session)
	if err != nil {
		return 0, err
	}
	defer restore()
	if err := c.feed(session); err != nil {
		return 0, err
	}
	if command == "" {
		err = session.Shell()
	} else {
		err = session.Start(command)
	}
	if err == nil {
		err = session.Wait()
	}
	return status(c.Machine, err)
}

// feed copies the input by itself: session.Wait would wait for its end, which
// a terminal's never comes.
func (c *Client) feed(session *ssh.Session) error {
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		if c.Stdin != nil {
			io.Copy(in, c.Stdin)
		}
		in.Close()
	}()
	return nil
}

func status(machine string, err error) (int, error) {
	var exit *ssh.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			err = fmt.Errorf("waiting for the command on %s: %w", machine, err)
		}
		return 0, err
	}
	if name := exit.Signal(); name != "" {
		return 128 + int(unix.SignalNum("SIG"+name)), nil
	}
	return exit.ExitStatus(), nil
}

// checkHost holds the server to the keys that were learned.
func (c *Client) checkHost(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, known := range c.HostKeys {
		if bytes.Equal(known.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return fmt.Errorf("the host key %s is none of those inside the machine", ssh.FingerprintSHA256(key))
}

// algorithms asks for a kind of host key that is known.
func (c *Client) algorithms() []string {
	var list []string
	for _, key := range c.HostKeys {
		if key.Type() == ssh.KeyAlgoRSA {
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			list = append(list, key.Type())
		}
	}
	return list
}

// terminal makes one at the other end and keeps its size like the caller's.
func (c *Client) terminal(session *ssh.Session) (restore func(), err error) {
	if c.Terminal == nil {
		return func() {}, nil
	}
	fd := int(c.Terminal.Fd())
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return nil, fmt.Errorf("reading the terminal's size: %w", err)
	}
	name := os.Getenv("TERM")
	if name == "" {
		name = "dumb"
	}
	if err := session.RequestPty(name, rows, cols, ssh.TerminalModes{}); err != nil {
		return nil, fmt.Errorf("asking %s for a terminal: %w", c.Machine, err)
	}
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	go func() {
		for range resized {
			if cols, rows, err := term.GetSize(fd); err == nil {
				session.WindowChange(rows, cols)
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		close(resized)
		term.Restore(fd, old)
	}, nil
}
