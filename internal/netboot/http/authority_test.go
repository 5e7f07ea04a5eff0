package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/netboot/token"
)

func serveTLS(t *testing.T, s *Server, config *tls.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ctx, l, config) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}

// client trusts a bundle and may show a certificate.
func client(bundle []byte, change func(*tls.Config)) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	c := &tls.Config{RootCAs: roots}
	if change != nil {
		change(c)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

func TestAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	now := time.Now()
	clock := func() time.Time { return now }
	a, err := OpenAuthority(dir, "slipway of a test", clock)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700 | os.ModeDir, "ca.key": 0o600, "ca.crt": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v: %v", name, info.Mode(), err)
		}
	}
	l := &diary{}
	tokens := book(t, l)
	s := &Server{Sink: l, Tokens: tokens, Boot: func(ctx context.Context, c Call) (Content, error) {
		return Content{Bytes: []byte("hello " + c.Identity), Secret: c.Name == "secret"}, nil
	}}
	address := serveTLS(t, s, a.Config("boot.lab"))
	url := fmt.Sprintf("https://%s/b/%s/", address, tokens.Mint(token.Claim{Machine: "node1", Address: loopback, Certificate: true}))
	get := func(c *http.Client, name string) (string, error) {
		r, err := c.Get(url + name)
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return fmt.Sprint(r.StatusCode, " ", string(b)), err
	}
	if got, err := get(client(a.Bundle(), nil), "x"); got != "200 hello " || err != nil {
		t.Errorf("without a certificate: %q, %v", got, err)
	}
	if got, err := get(client(a.Bundle(), nil), "secret"); !strings.HasPrefix(got, "403") {
		t.Errorf("a secret without a certificate: %q, %v", got, err)
	}
	show := func(a *Authority, name string, life time.Duration) func(*tls.Config) {
		crt, key, err := a.Identity(name, life)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(crt, key)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
	}
	if got, err := get(client(a.Bundle(), show(a, "node2", time.Hour)), "secret"); !strings.HasPrefix(got, "403") {
		t.Errorf("a secret with another's certificate: %q, %v", got, err)
	}
	if got, err := get(client(a.Bundle(), show(a, "node1", time.Hour)), "secret"); got != "200 hello node1" {
		t.Errorf("with its certificate: %q, %v", got, err)
	}
	foreign, err := OpenAuthority(t.TempDir(), "another", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(client(a.Bundle(), show(foreign, "node1", time.Hour)), "x"); err == nil {
		t.Errorf("with a foreign certificate: %q", got)
	}
	if got, err := get(client(a.Bundle(), show(a, "node1", -time.Minute)), "x"); err == nil {
		t.Errorf("with one that is over: %q", got)
	}
	if got, err := get(client(foreign.Bundle(), nil), "x"); err == nil {
		t.Errorf("who trusts another authority got %q", got)
	}
	// iPXE before 2.0: TLS 1.2, RSA for the key exchange and the certificate.
	old := client(a.Bundle(), func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	})
	if got, err := get(old, "x"); got != "200 hello " {
		t.Errorf("as iPXE: %q, %v", got, err)
	}

	again, err := OpenAuthority(dir, "", clock)
	if err != nil || string(again.Bundle()) != string(a.Bundle()) {
		t.Errorf("opened again: %v", err)
	}
	first, _, err := a.certificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(serverLife * 2 / 3)
	if next, _, err := a.certificate("127.0.0.1"); err != nil || next == first {
		t.Errorf("near its end the server's certificate was not made anew: %v", err)
	}
	now = now.Add(authorityLife)
	if _, err := OpenAuthority(dir, "", clock); err == nil || !strings.Contains(err.Error(), "it ended on") {
		t.Errorf("after its end: %v", err)
	}
	os.Chmod(filepath.Join(dir, "ca.key"), 0o644)
	if _, err := OpenAuthority(dir, "", clock); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestJudgesTrustTheAuthority has curl and openssl check what we made.
func TestJudgesTrustTheAuthority(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenAuthority(dir, "slipway of a test", nil)
	if err != nil {
		t.Fatal(err)
	}
	tokens := book(t, &diary{})
	s := &Server{Tokens: tokens, Boot: func(ctx context.Context, c Call) (Content, error) {
		return Content{Bytes: []byte("hello " + c.Identity)}, nil
	}}
	address := serveTLS(t, s, a.Config())
	crt, key, err := a.Identity("node1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "c.crt"), crt)
	write(t, filepath.Join(dir, "c.key"), key)
	url := "https://" + address + "/b/" + tokens.Mint(token.Claim{Address: loopback}) + "/x"
	for program, args := range map[string][]string{
		"curl":    {"-sS", "--path-as-is", "--cacert", filepath.Join(dir, "ca.crt"), "--cert", filepath.Join(dir, "c.crt"), "--key", filepath.Join(dir, "c.key"), url},
		"openssl": {"verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", filepath.Join(dir, "ca.crt"), filepath.Join(dir, "c.crt")},
	} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s is not installed", program)
			continue
		}
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil || program == "curl" && string(out) != "hello node1" {
			t.Errorf("%s: %v: %s", program, err, out)
		}
	}
}
