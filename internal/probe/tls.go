package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"slipway/internal/machine"
)

// tlsCheck makes a handshake and looks at the certificate. With verify (the
// default) the chain must lead to a known authority, and the certificate must
// be server_name's if that is given.
type tlsCheck struct{ p *machine.TLSProbe }

func newTLS(p *machine.Probe) check { return tlsCheck{p.TLS} }

func (c tlsCheck) bound(within time.Duration) time.Duration { return networkBound(within) }

func (c tlsCheck) port() int {
	if c.p.Port == 0 {
		return 443
	}
	return c.p.Port
}

func (c tlsCheck) verify() bool { return c.p.Verify == nil || *c.p.Verify }

func (c tlsCheck) want() string {
	text := fmt.Sprintf("a TLS handshake on port %d", c.port())
	if c.verify() {
		text += " with a certificate that verifies"
	}
	if c.p.ServerName != "" {
		text += " for " + c.p.ServerName
	}
	if c.p.DaysLeft > 0 {
		text += fmt.Sprintf(", valid for %d more days", c.p.DaysLeft)
	}
	return text
}

func (c tlsCheck) try(ctx context.Context, s *session) outcome {
	roots, err := c.roots()
	if err != nil {
		return breaks("%v", err)
	}
	raw, err := s.dial(ctx, "tcp", s.hostPort("", c.port()))
	if err != nil {
		return misses("%s", plain(err))
	}
	defer raw.Close()
	// Verified below, after the handshake, for messages that tell the two apart.
	conn := tls.Client(raw, &tls.Config{ServerName: c.p.ServerName, InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return misses("a handshake that failed: %s", plain(err))
	}
	chain := conn.ConnectionState().PeerCertificates
	if c.verify() {
		if err := verifyChain(chain, roots, c.p.ServerName); err != nil {
			return misses("%s", plain(err))
		}
	}
	return c.age(chain[0])
}

func (c tlsCheck) age(cert *x509.Certificate) outcome {
	left := int(time.Until(cert.NotAfter) / (24 * time.Hour))
	if left < c.p.DaysLeft {
		return misses("a certificate that ends on %s, in %d days", cert.NotAfter.UTC().Format(time.DateOnly), left)
	}
	return holds("a certificate of %s for %d more days", cert.Subject, left)
}

// roots is the authorities of "ca", or nil for the prober's own.
func (c tlsCheck) roots() (*x509.CertPool, error) {
	if c.p.CA == "" {
		return nil, nil
	}
	data, err := os.ReadFile(c.p.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.p.CA)
	}
	return pool, nil
}
