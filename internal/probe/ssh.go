package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/internal/machine"
)

// sshCheck logs in with a key and may run a command. The host key of the first
// use is trusted for the rest of the run: a fresh machine has made it itself.
type sshCheck struct{ p *machine.SSHProbe }

func newSSH(p *machine.Probe) check { return sshCheck{p.SSH} }

// bound leaves a command most of the time.
func (c sshCheck) bound(within time.Duration) time.Duration {
	if c.p.Command != "" {
		return within
	}
	return networkBound(within)
}

func (c sshCheck) port() int {
	if c.p.Port == 0 {
		return 22
	}
	return c.p.Port
}

func (c sshCheck) user() string {
	if c.p.User == "" {
		return "root"
	}
	return c.p.User
}

func (c sshCheck) want() string {
	text := fmt.Sprintf("a login by ssh as %s on port %d", c.user(), c.port())
	if c.p.Command != "" {
		text += fmt.Sprintf(" and exit status 0 from %q", c.p.Command)
	}
	if c.p.Expect != "" {
		text += fmt.Sprintf(" with %q in its output", c.p.Expect)
	}
	return text
}

func (c sshCheck) try(ctx context.Context, s *session) outcome {
	signer, err := c.signer(ctx, s)
	if err != nil {
		return breaks("%v", err)
	}
	address := s.hostPort("", c.port())
	conn, err := s.dial(ctx, "tcp", address)
	if err != nil {
		return misses("%s", plain(err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	over, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: c.user(), Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: s.firstUse,
	})
	if err != nil {
		return misses("%s", sshError(err))
	}
	client := ssh.NewClient(over, channels, requests)
	defer client.Close()
	if c.p.Command == "" {
		return holds("a login")
	}
	return c.command(client)
}

func (c sshCheck) command(client *ssh.Client) outcome {
	session, err := client.NewSession()
	if err != nil {
		return misses("a login, but no session: %s", plain(err))
	}
	defer session.Close()
	var out, errs capped
	session.Stdout, session.Stderr = &out, &errs
	err = session.Run(c.p.Command)
	res := ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		res.Exit = exit.ExitStatus()
		return misses("%s", describe(res))
	case err != nil:
		return misses("a login, but the command ended with: %s", plain(err))
	case !strings.Contains(out.String(), c.p.Expect):
		return misses("%s", describe(res))
	}
	return holds("%s", describe(res))
}

// capped keeps the first mostRead bytes: a machine may send any number.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if room := mostRead - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// signer is the key of the probe, or the one that was made for the machine.
func (c sshCheck) signer(ctx context.Context, s *session) (ssh.Signer, error) {
	var data []byte
	var err error
	if c.p.Key != "" {
		data, err = os.ReadFile(c.p.Key)
	} else if holder, ok := s.Reach.(KeyHolder); ok {
		data, err = holder.SSHKey(ctx, c.user())
	} else {
		err = errors.New("the machine has no generated key; set key")
	}
	if err != nil {
		return nil, fmt.Errorf("no private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	return signer, nil
}

// firstUse accepts a host key that is new or the same as before.
func (s *session) firstUse(host string, _ net.Addr, key ssh.PublicKey) error {
	now := ssh.FingerprintSHA256(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.hostKeys[host]; ok && before != now {
		return fmt.Errorf("the host key has changed from %s to %s", before, now)
	}
	s.hostKeys[host] = now
	return nil
}

func sshError(err error) string {
	return strings.TrimPrefix(plain(err), "ssh: handshake failed: ")
}
