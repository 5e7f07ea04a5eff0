package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/ssh"

	"slipway/internal/machine"
)

// probeCase is a probe with what must come of it.
type probeCase struct {
	name string
	p    machine.Probe
	ok   bool
	seen string
}

// runCases makes all probes of a table at once.
func runCases(t *testing.T, f *fake, cases []probeCase) {
	t.Helper()
	probes := make([]machine.Probe, len(cases))
	for i, c := range cases {
		probes[i] = quick(patient(c.p, c.ok))
		probes[i].Name = c.name
	}
	for i, got := range Run(t.Context(), probes, f, nil) {
		if c := cases[i]; got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
			t.Errorf("%s: got %+v, want OK %v and %q", c.name, got, c.ok, c.seen)
		}
	}
}

func TestUDP(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 1500)
		for n := 0; ; n++ {
			size, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if string(buf[:size]) != "mute" {
				server.WriteTo(append([]byte("re: "), buf[:size]...), from)
			}
		}
	}()
	port := server.LocalAddr().(*net.UDPAddr).Port
	runCases(t, &fake{}, []probeCase{
		{"answer", machine.Probe{UDP: &machine.TCPProbe{Port: port, Send: "ahoy", Expect: "re: ahoy"}}, true, ""},
		{"other answer", machine.Probe{UDP: &machine.TCPProbe{Port: port, Send: "ahoy", Expect: "land"}}, false, `"re: ahoy"`},
		{"silence", machine.Probe{UDP: &machine.TCPProbe{Port: port, Send: "mute", Expect: "x"}}, false, "no answer"},
	})
}

func TestDNS(t *testing.T) {
	t.Parallel()
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp", packet.LocalAddr().String())
	if err != nil {
		t.Skip("the same port is not free for TCP")
	}
	zone := map[string][]string{
		"web.test. A":   {"web.test. 1 IN A 192.0.2.1", "web.test. 1 IN A 192.0.2.2"},
		"www.test. A":   {"www.test. 1 IN CNAME web.test.", "web.test. 1 IN A 192.0.2.1"},
		"txt.test. TXT": {`txt.test. 1 IN TXT "one" " two"`},
		"mx.test. MX":   {"mx.test. 1 IN MX 10 mail.test."},
		"big.test. A":   {"big.test. 1 IN A 192.0.2.9"},
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		question := q.Question[0]
		lines, ok := zone[question.Name+" "+dns.TypeToString[question.Qtype]]
		if !ok {
			reply.Rcode = dns.RcodeNameError
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && question.Name == "big.test." {
			reply.Truncated, lines = true, nil
		}
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Error(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		w.WriteMsg(reply)
	})
	for _, s := range []*dns.Server{{PacketConn: packet, Handler: handler}, {Listener: stream, Handler: handler}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	ask := func(name, kind, answer string) machine.Probe {
		_, port, _ := net.SplitHostPort(packet.LocalAddr().String())
		return machine.Probe{DNS: &machine.DNSProbe{Server: "machine:" + port, Name: name, Type: kind, Answer: answer}}
	}
	runCases(t, &fake{}, []probeCase{
		{"any", ask("web.test", "", ""), true, ""},
		{"one of two", ask("web.test", "A", "192.0.2.2"), true, ""},
		{"other", ask("web.test", "A", "192.0.2.3"), false, "192.0.2.1, 192.0.2.2"},
		{"through an alias", ask("www.test", "a", "192.0.2.1"), true, ""},
		{"text", ask("txt.test", "TXT", "one two"), true, ""},
		{"mail", ask("mx.test", "MX", "10 mail.test."), true, ""},
		{"truncated", ask("big.test", "A", "192.0.2.9"), true, ""},
		{"no name", ask("none.test", "A", ""), false, "NXDOMAIN"},
		{"no type", ask("web.test", "FOO", ""), false, `"FOO"`},
	})
}

// certificate makes a self-signed one that ends after a time.
func certificate(t *testing.T, name string, valid time.Duration) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, ca := certificate(t, "web.test", 10*24*time.Hour+time.Minute)
	port := listen(t, func(conn net.Conn) {
		tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
		conn.Close()
	})
	shake := func(p machine.TLSProbe) machine.Probe { p.Port = port; return machine.Probe{TLS: &p} }
	runCases(t, &fake{}, []probeCase{
		{"own authority", shake(machine.TLSProbe{CA: ca, ServerName: "web.test", DaysLeft: 10}), true, ""},
		{"any name", shake(machine.TLSProbe{CA: ca}), true, ""},
		{"other name", shake(machine.TLSProbe{CA: ca, ServerName: "mail.test"}), false, "web.test, not mail.test"},
		{"too old", shake(machine.TLSProbe{CA: ca, DaysLeft: 11}), false, "in 10 days"},
		{"unknown authority", shake(machine.TLSProbe{}), false, "unknown authority"},
		{"not verified", shake(machine.TLSProbe{Verify: ptr(false), DaysLeft: 3}), true, ""},
		{"no authority", shake(machine.TLSProbe{CA: "/no/such.pem"}), false, "/no/such.pem"},
		{"no TLS", machine.Probe{TLS: &machine.TLSProbe{Verify: ptr(false), Port: listen(t, func(c net.Conn) { io.WriteString(c, "hello, this is no TLS"); c.Close() })}}, false, "handshake"},
	})
}

func sshKey(t *testing.T) (private []byte, signer ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = ssh.NewSignerFromKey(key); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), signer
}

// sshServer lets one key log in and answers "whoami" and "fail".
func sshServer(t *testing.T, host, allowed ssh.Signer) int {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) == string(allowed.PublicKey().Marshal()) {
			return nil, nil
		}
		return nil, errors.New("unknown key")
	}}
	config.AddHostKey(host)
	return listen(t, func(raw net.Conn) {
		conn, channels, requests, err := ssh.NewServerConn(raw, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for n := range channels {
			channel, requests, err := n.Accept()
			if err != nil {
				return
			}
			go func() {
				for r := range requests {
					r.Reply(r.Type == "exec", nil)
					if r.Type != "exec" {
						continue
					}
					status := struct{ Status uint32 }{}
					if command := string(r.Payload[4:]); command == "whoami" {
						io.WriteString(channel, conn.User()+"\n")
					} else {
						status.Status = 7
					}
					channel.SendRequest("exit-status", false, ssh.Marshal(status))
					channel.Close()
				}
			}()
		}
	})
}

func TestSSH(t *testing.T) {
	t.Parallel()
	private, signer := sshKey(t)
	other, _ := sshKey(t)
	_, host := sshKey(t)
	port := sshServer(t, host, signer)
	otherFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(otherFile, other, 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(p machine.SSHProbe) machine.Probe {
		p.Port = port
		return machine.Probe{SSH: &p}
	}
	runCases(t, &fake{key: private}, []probeCase{
		{"login", login(machine.SSHProbe{}), true, ""},
		{"command", login(machine.SSHProbe{User: "ops", Command: "whoami", Expect: "ops"}), true, ""},
		{"other output", login(machine.SSHProbe{User: "ops", Command: "whoami", Expect: "root"}), false, `output "ops\n"`},
		{"failing command", login(machine.SSHProbe{Command: "fail"}), false, "exit status 7"},
		{"other key", login(machine.SSHProbe{Key: otherFile}), false, "unable to authenticate"},
		{"no key", login(machine.SSHProbe{Key: "/no/such"}), false, "/no/such"},
		{"refused", machine.Probe{SSH: &machine.SSHProbe{Port: closedPort(t)}}, false, "connection refused"},
		{"hung", machine.Probe{SSH: &machine.SSHProbe{Port: listen(t, hang)}}, false, "tried"},
	})
}

func TestSSHHostKeyOfFirstUse(t *testing.T) {
	t.Parallel()
	_, one := sshKey(t)
	_, two := sshKey(t)
	s := newSession(&fake{})
	if err := s.firstUse("a:22", nil, one.PublicKey()); err != nil {
		t.Error(err)
	}
	if err := s.firstUse("b:22", nil, two.PublicKey()); err != nil {
		t.Error(err)
	}
	if err := s.firstUse("a:22", nil, two.PublicKey()); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("another key for the same host gave %v", err)
	}
}

func TestPortClosed(t *testing.T) {
	t.Parallel()
	closed, open := closedPort(t), listen(t, hang)
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	dead := func(context.Context, ExecRequest) (ExecResult, error) { return ExecResult{}, errors.New("gone") }
	for name, c := range map[string]struct {
		f    *fake
		port int
		ok   bool
		seen string
	}{
		"closed":              {&fake{}, closed, true, ""},
		"open":                {&fake{}, open, false, "an open port"},
		"dropped":             {&fake{dial: silent, exec: alwaysExit(0)}, closed, true, ""},
		"dead machine":        {&fake{dial: silent, exec: dead}, closed, false, "no sign of life"},
		"unreachable":         {&fake{dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route to host") }}, closed, false, "no route"},
		"nothing to ask with": {&fake{dial: silent}, closed, false, "no sign of life"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := one(t, patient(machine.Probe{PortClosed: c.port}, c.ok), c.f)
			if got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
				t.Errorf("got %+v, want OK %v and %q", got, c.ok, c.seen)
			}
		})
	}
}
