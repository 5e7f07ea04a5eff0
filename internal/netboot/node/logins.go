package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"slipway/internal/fleet"
)

// logins lets those in by ssh whose keys the order names: an installer or a
// rescue system on a machine without a screen.
type logins struct {
	say     func(string, ...any)
	program *program
	console *console

	mu     sync.Mutex
	keys   map[string]bool
	listen string // default :22
	ln     net.Listener
}

// allow takes the keys of an order, and starts to serve.
func (l *logins) allow(keys []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = map[string]bool{}
	for _, text := range keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return fmt.Errorf("the key %.40q: %w", text, err)
		}
		l.keys[string(key.Marshal())] = true
	}
	if l.ln != nil {
		return nil
	}
	return l.serve()
}

func (l *logins) serve() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.keys[string(key.Marshal())] {
			return nil, errors.New("this key is not in the definition (users.ssh_keys)")
		}
		return nil, nil
	}}
	cfg.AddHostKey(host)
	if l.listen == "" {
		l.listen = ":22"
	}
	if l.ln, err = net.Listen("tcp", l.listen); err != nil {
		return err
	}
	print := ssh.FingerprintSHA256(host.PublicKey())
	l.say("ssh is open; the host key of this start is %s", print)
	l.program.tell(Report{Stage: fleet.StageNetwork, Text: "ssh is open", Fields: map[string]string{"ssh_host_key": print}})
	go func() {
		for {
			conn, err := l.ln.Accept()
			if err != nil {
				return
			}
			go l.connection(conn, cfg)
		}
	}()
	return nil
}

func (l *logins) connection(conn net.Conn, cfg *ssh.ServerConfig) {
	defer conn.Close()
	c, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	defer c.Close()
	l.say("%s logged in from %s", c.User(), c.RemoteAddr())
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		if ch.ChannelType() != "session" {
			ch.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := ch.Accept()
		if err == nil {
			go l.session(channel, requests)
		}
	}
}

// session runs one command, or a shell.
func (l *logins) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		switch r.Type {
		case "pty-req", "env", "window-change":
			r.Reply(r.Type != "window-change", nil)
		case "exec", "shell":
			r.Reply(true, nil)
			var exec struct{ Command string }
			ssh.Unmarshal(r.Payload, &exec)
			status := l.command(ch, strings.TrimSpace(exec.Command))
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			return
		default:
			r.Reply(false, nil)
		}
	}
}

// help lists what there is without a shell.
const help = `This is slipway in the memory of this machine. Commands:
  log        what was said so far
  dmesg      what the kernel said
  hardware   what the machine is made of, as JSON
  order      what the server told it to do, as JSON
  get FILE   the bytes of a file, or of a disk
  restart    switch off and on
`

// command runs a word of ours, or a shell where the initrd has one.
func (l *logins) command(ch ssh.Channel, line string) uint32 {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "help":
		_, err = io.WriteString(ch, help)
	case "log":
		_, err = io.WriteString(ch, l.console.text())
	case "dmesg":
		_, err = io.WriteString(ch, strings.Join(kernelLog(), "\n")+"\n")
	case "hardware":
		err = json.NewEncoder(ch).Encode(l.program.scan.Hardware())
	case "order":
		err = json.NewEncoder(ch).Encode(l.program.reply.Load())
	case "get":
		err = send(ch, strings.TrimSpace(rest))
	case "restart":
		l.say("restarted by ssh")
		err = l.program.machine.Restart()
	default:
		return l.shell(ch, line)
	}
	if err != nil {
		fmt.Fprintln(ch.Stderr(), err)
		return 1
	}
	return 0
}

func send(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// shell runs busybox, which an initrd has if its machine does.
func (l *logins) shell(ch ssh.Channel, line string) uint32 {
	var args []string
	if line != "" {
		args = []string{"-c", line}
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ch, ch, ch.Stderr()
	cmd.Env = []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=vt100"}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, os.ErrNotExist):
		fmt.Fprint(ch, help)
		return map[bool]uint32{true: 0, false: 127}[line == ""]
	case errors.As(err, &exit):
		return uint32(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(ch.Stderr(), err)
		return 1
	}
	return 0
}
