package sshway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestKeyIsMadeOnceAndPrivate(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "ssh"))
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if p, err := d.Key(); err != nil {
				t.Error(err)
			} else {
				keys[i] = p.Public
			}
		}()
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || !strings.HasPrefix(k, "ssh-ed25519 ") || strings.Contains(k, "\n") {
			t.Fatalf("key %q, the first was %q", k, keys[0])
		}
	}
	if st, err := os.Stat(d.KeyPath()); err != nil || st.Mode() != 0o600 {
		t.Fatalf("the private key has mode %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(string(d)); err != nil || st.Mode().Perm() != 0o700 {
		t.Fatalf("the folder has mode %v, %v", st.Mode(), err)
	}
	os.WriteFile(d.KeyPath(), []byte("junk"), 0o600)
	if _, err := d.Key(); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Fatalf("a broken key: %v", err)
	}
}

func hostKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLearnReplacesAndForgets(t *testing.T) {
	d := Dir(t.TempDir())
	a, b, c := hostKey(t).PublicKey(), hostKey(t).PublicKey(), hostKey(t).PublicKey()
	for _, step := range []struct {
		name string
		keys []ssh.PublicKey
	}{{"web", []ssh.PublicKey{a}}, {"we", []ssh.PublicKey{b}}, {"web", []ssh.PublicKey{c}}, {"we", nil}} {
		if err := d.Learn(step.name, step.keys); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(d.KnownHostsPath())
	if want := "web.slipway " + string(ssh.MarshalAuthorizedKey(c)); err != nil || string(got) != want {
		t.Fatalf("known_hosts is %q, want %q (%v)", got, want, err)
	}
}

func TestParseHostKeysSkipsWhatIsNoKey(t *testing.T) {
	key := string(ssh.MarshalAuthorizedKey(hostKey(t).PublicKey()))
	got := ParseHostKeys([]byte("no key\n\n" + strings.TrimSpace(key) + " root@web\nssh-rsa AAAA\n"))
	if len(got) != 1 || string(ssh.MarshalAuthorizedKey(got[0])) != key {
		t.Fatalf("got %v", got)
	}
}

// TestConfigIsReadByOpenSSH asks the real client what it understood.
func TestConfigIsReadByOpenSSH(t *testing.T) {
	client, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("the host has no ssh client to compare with")
	}
	d := Dir(filepath.Join(t.TempDir(), "a b%c"))
	if err := d.WriteConfig([]string{"web", "db"}, Program{Path: "/opt/it's/slip way%", Runtime: "/run/x"}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(client, "-F", d.ConfigPath(), "-G", "web").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"hostkeyalias web.slipway", "user root", "stricthostkeychecking true", "identitiesonly yes",
		`proxycommand env SLIPWAY_RUNTIME=/run/x '/opt/it'\''s/slip way%%' connect --user '%r' web %p`,
	} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("ssh -G does not say %q:\n%s", want, out)
		}
	}
}

// server is an ssh server that echoes its input and ends with status 7, or by
// a signal when the command is "die".
func server(t *testing.T, host ssh.Signer, user ssh.PublicKey, conn net.Conn) {
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if bytes.Equal(key.Marshal(), user.Marshal()) {
			return nil, nil
		}
		return nil, io.ErrUnexpectedEOF
	}}
	cfg.AddHostKey(host)
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, reqs, err := n.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		for r := range reqs {
			r.Reply(true, nil)
			var command struct{ Text string }
			ssh.Unmarshal(r.Payload, &command)
			io.Copy(ch, ch)
			if command.Text == "die" {
				ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
					Signal  string
					Core    bool
					Message string
					Lang    string
				}{Signal: "KILL"}))
			} else {
				ch.SendRequest("exit-status", false, ssh.Marshal(struct{ N uint32 }{7}))
			}
			ch.Close()
			break
		}
	}
}

// connection has buffers, unlike net.Pipe: both ends of ssh begin by writing.
func connection(t *testing.T) (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestClient(t *testing.T) {
	pair, err := Dir(t.TempDir()).Key()
	if err != nil {
		t.Fatal(err)
	}
	host := hostKey(t)
	for _, c := range []struct {
		name, command string
		known         ssh.PublicKey
		key           ssh.Signer
		status        int
		fails         string
	}{
		{"status", "cat", host.PublicKey(), pair.Signer, 7, ""},
		{"signal", "die", host.PublicKey(), pair.Signer, 137, ""},
		{"stranger", "cat", hostKey(t).PublicKey(), pair.Signer, 0, "none of those inside"},
		{"wrong key", "cat", host.PublicKey(), hostKey(t), 0, "unable to authenticate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := connection(t)
			go server(t, host, pair.Signer.PublicKey(), theirs)
			var out bytes.Buffer
			client := Client{Machine: "web", User: "root", Key: c.key, HostKeys: []ssh.PublicKey{c.known}, Stdin: strings.NewReader("hi"), Stdout: &out}
			got, err := client.Run(context.Background(), ours, c.command)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("got %v, want an error about %q", err, c.fails)
				}
				return
			}
			if err != nil || got != c.status || out.String() != "hi" {
				t.Fatalf("status %d, output %q, %v; want %d", got, out.String(), err, c.status)
			}
		})
	}
}
