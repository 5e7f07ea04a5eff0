package node

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLogins: who has a key of the definition sees on an installer what a
// screen would show and what it is made of; nobody else gets in.
func TestLogins(t *testing.T) {
	m := newMachine(t)
	m.disk("vda", "S1", "03.0", 1<<20)
	queue := make(chan Report, 8)
	p := &program{scan: m.scanner(), queue: queue, machine: m}
	p.reply.Store(&Order{Do: DoRescue, Machine: "node1"})
	c := &console{}
	l := &logins{say: c.say, program: p, console: c, listen: "127.0.0.1:0"}
	ours, others := newSigner(t), newSigner(t)
	if err := l.allow([]string{"ssh-ed25519 nonsense"}); err == nil {
		t.Error("a key that is none was taken")
	}
	if err := l.allow([]string{string(ssh.MarshalAuthorizedKey(ours.PublicKey()))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.ln.Close() })
	told := <-queue
	dial := func(key ssh.Signer) (*ssh.Client, error) {
		return ssh.Dial("tcp", l.ln.Addr().String(), &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
			HostKeyCallback: func(_ string, _ net.Addr, host ssh.PublicKey) error {
				if ssh.FingerprintSHA256(host) != told.Fields["ssh_host_key"] {
					return errors.New("another host key than was told to the server")
				}
				return nil
			}})
	}
	if client, err := dial(others); err == nil {
		client.Close()
		t.Error("a key that is not in the definition opens the door")
	}
	client, err := dial(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	run := func(command string) (string, error) {
		t.Helper()
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Output(command)
		return string(out), err
	}
	if out, err := run("log"); err != nil || !strings.Contains(out, "root logged in from 127.0.0.1") {
		t.Errorf("log: %v\n%s", err, out)
	}
	var hw Hardware
	if out, err := run("hardware"); err != nil || json.Unmarshal([]byte(out), &hw) != nil || len(hw.Disks) != 1 || hw.Disks[0].Serial != "S1" {
		t.Errorf("hardware: %v\n%s", err, out)
	}
	var order Order
	if out, err := run("order"); err != nil || json.Unmarshal([]byte(out), &order) != nil || order.Do != DoRescue {
		t.Errorf("order: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, []byte("its bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("get " + file); err != nil || out != "its bytes" {
		t.Errorf("get: %v %q", err, out)
	}
	var exit *ssh.ExitError
	if _, err := run("get /no/such/file"); !errors.As(err, &exit) || exit.ExitStatus() != 1 {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := run("exit 7"); !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("the shell's status: %v", err)
	}
	// A key that is taken out of the definition is refused from then on.
	if err := l.allow([]string{string(ssh.MarshalAuthorizedKey(others.PublicKey()))}); err != nil {
		t.Fatal(err)
	}
	if again, err := dial(ours); err == nil {
		again.Close()
		t.Error("a key that was taken out still opens the door")
	}
}
