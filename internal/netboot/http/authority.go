package http

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Authority is a certificate authority of one's own, kept in a folder: ca.crt
// and ca.key. The server's certificates live in memory alone and are made anew before they end.
//
// Its key is RSA: iPXE before 2.0 knows no other. Each server certificate
// exists twice, RSA for such clients and ECDSA for the others, which is a
// tenth of the work.
type Authority struct {
	Now func() time.Time

	dir string
	mu  sync.Mutex
	key crypto.Signer
	crt *x509.Certificate

	served map[string]*pair // by name
}

// pair is a server's certificate in both kinds.
type pair struct {
	rsa, ecdsa *tls.Certificate
	renew      time.Time
}

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 90 * 24 * time.Hour
	maxServed     = 64 // certificates in memory
)

// OpenAuthority reads the authority of a folder, or makes one there. name is
// what stands in its certificate, such as "slipway of lab.example".
func OpenAuthority(dir, name string, now func() time.Time) (*Authority, error) {
	a := &Authority{Now: now, dir: dir, served: map[string]*pair{}}
	if now == nil {
		a.Now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	err := a.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = a.create(name)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	return a, nil
}

func (a *Authority) load() error {
	path := filepath.Join(a.dir, "ca.key")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read %s (mode %04o): chmod 600 it, or remove the folder to get a new authority", path, info.Mode().Perm())
	}
	both, err := tls.LoadX509KeyPair(filepath.Join(a.dir, "ca.crt"), path)
	if err != nil {
		return err
	}
	a.crt, err = x509.ParseCertificate(both.Certificate[0])
	if err != nil {
		return err
	}
	if !a.Now().Before(a.crt.NotAfter) {
		return fmt.Errorf("it ended on %s: remove the folder to get a new one", a.crt.NotAfter.Format(time.DateOnly))
	}
	a.key = both.PrivateKey.(crypto.Signer)
	return nil
}

// create makes a new authority and writes it: the key last, for
// where it is missing there is no authority yet.
func (a *Authority) create(name string) error {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return err
	}
	now := a.Now()
	crt, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(a.dir, "ca.crt"), encode("CERTIFICATE", crt.Raw), 0o644); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(a.dir, "ca.key"), encode("PRIVATE KEY", der), 0o600); err != nil {
		return err
	}
	a.key, a.crt = key, crt
	return nil
}

// Bundle is what a client must trust, in PEM.
func (a *Authority) Bundle() []byte { return encode("CERTIFICATE", a.crt.Raw) }

// Identity makes a client certificate for a machine, with its key, in PEM. It
// proves the machine to ServeTLS for life.
func (a *Authority) Identity(machine string, life time.Duration) (certificate, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err == nil {
		var c *x509.Certificate
		a.mu.Lock()
		c, err = sign(&x509.Certificate{
			Subject: pkix.Name{CommonName: machine}, NotBefore: a.Now().Add(-time.Hour), NotAfter: a.Now().Add(life),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, a.crt, k.Public(), a.key)
		a.mu.Unlock()
		if err == nil {
			key, err = x509.MarshalPKCS8PrivateKey(k)
			return encode("CERTIFICATE", c.Raw), encode("PRIVATE KEY", key), err
		}
	}
	return nil, nil, fmt.Errorf("making a certificate for %s: %w", machine, err)
}

// Config is for ServeTLS. The certificate is for the name that the client asks
// for if it is among names, and for the address that it reached otherwise:
// firmware names no server when it goes by address. A client may show a
// certificate of Identity; a wrong one ends the connection.
func (a *Authority) Config(names ...string) *tls.Config {
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name := hello.ServerName
			if !known[name] {
				name = addrOf(hello.Conn.LocalAddr()).String()
			}
			p, roots, err := a.certificate(name)
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, CipherSuites: suites,
				Certificates: []tls.Certificate{*p.ecdsa, *p.rsa},
				ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: roots, Time: a.Now,
			}, nil
		},
	}
}

// suites for TLS 1.2: the good ones, and below them what iPXE before 2.0 has:
// key exchange by RSA.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// certificate is the server's for a name or an address, made when it is
// missing or has a third of its life left.
func (a *Authority) certificate(name string) (*pair, *x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	roots := x509.NewCertPool()
	roots.AddCert(a.crt)
	if p := a.served[name]; p != nil && a.Now().Before(p.renew) {
		return p, roots, nil
	}
	if len(a.served) >= maxServed {
		clear(a.served)
	}
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	ek, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	p := &pair{renew: a.Now().Add(serverLife * 2 / 3)}
	if p.rsa, err = a.server(name, rk, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment); err != nil {
		return nil, nil, err
	}
	if p.ecdsa, err = a.server(name, ek, x509.KeyUsageDigitalSignature); err != nil {
		return nil, nil, err
	}
	a.served[name] = p
	return p, roots, nil
}

func (a *Authority) server(name string, key crypto.Signer, usage x509.KeyUsage) (*tls.Certificate, error) {
	end := a.Now().Add(serverLife)
	if end.After(a.crt.NotAfter) {
		end = a.crt.NotAfter
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: a.Now().Add(-24 * time.Hour), NotAfter: end,
		KeyUsage: usage, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		t.IPAddresses = []net.IP{ip.Unmap().AsSlice()}
	} else {
		t.DNSNames = []string{name}
	}
	c, err := sign(t, a.crt, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making the server's certificate for %s: %w", name, err)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw, a.crt.Raw}, PrivateKey: key, Leaf: c}, nil
}

// sign makes a certificate; without a parent it signs itself.
func sign(t, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(der)
	t.SerialNumber, t.SubjectKeyId = serial, id[:20]
	if parent == nil {
		parent = t
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, parent, public, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

func encode(kind string, der []byte) []byte {
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a bytes.Buffer takes everything
	return b.Bytes()
}

// writeWhole puts a file in place at once.
func writeWhole(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
