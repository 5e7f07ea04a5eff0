package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"slipway/internal/machine"
)

// httpCheck requests one page. Redirects are not followed: the probe names the
// page it means, and a redirect is an answer like any other.
type httpCheck struct{ p *machine.HTTPProbe }

func newHTTP(p *machine.Probe) check { return httpCheck{p.HTTP} }

func (c httpCheck) bound(within time.Duration) time.Duration { return networkBound(within) }

func (c httpCheck) status() int {
	if c.p.Status == 0 {
		return http.StatusOK
	}
	return c.p.Status
}

func (c httpCheck) method() string {
	if c.p.Method == "" {
		return http.MethodGet
	}
	return strings.ToUpper(c.p.Method)
}

func (c httpCheck) want() string {
	text := fmt.Sprintf("status %d from %s %s", c.status(), c.method(), c.p.URL)
	if c.p.Contains != "" {
		text += fmt.Sprintf(" with %q", c.p.Contains)
	}
	for _, name := range sortedKeys(c.p.Header) {
		text += fmt.Sprintf(", header %s: %s", name, c.p.Header[name])
	}
	for _, path := range sortedKeys(c.p.JSON) {
		text += fmt.Sprintf(", %s = %s", path, jsonText(c.p.JSON[path]))
	}
	return text
}

func (c httpCheck) try(ctx context.Context, s *session) outcome {
	req, err := http.NewRequestWithContext(ctx, c.method(), c.p.URL, nil)
	if err != nil {
		return breaks("an address that cannot be requested: %v", err)
	}
	req.Header.Set("User-Agent", "slipway-probe")
	transport := c.transport(s)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return misses("%s", plain(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	if err != nil {
		return misses("status %d, and then %s", resp.StatusCode, readError(err))
	}
	return c.judge(resp, body)
}

// transport makes connections through the lab; nothing of the host's proxy
// settings applies there.
func (c httpCheck) transport(s *session) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if host == machineHost {
				address = net.JoinHostPort(s.Address().String(), port)
			}
			return s.dial(ctx, network, address)
		},
		TLSClientConfig: c.tlsConfig(),
	}
}

// tlsConfig verifies the chain always, and the name unless it is the stand-in
// "machine", which no certificate has.
func (c httpCheck) tlsConfig() *tls.Config {
	if c.p.Verify != nil && !*c.p.Verify {
		return &tls.Config{InsecureSkipVerify: true} // asked for: verify: false
	}
	config := &tls.Config{}
	if host := urlHost(c.p.URL); host == machineHost {
		chainOnly(config, nil)
	}
	return config
}

// judge compares an answer with what is wanted, one difference at a time.
func (c httpCheck) judge(resp *http.Response, body []byte) outcome {
	if resp.StatusCode != c.status() {
		if to := resp.Header.Get("Location"); to != "" {
			return misses("status %d to %s", resp.StatusCode, to)
		}
		return misses("status %d with %s", resp.StatusCode, quote(body))
	}
	if !bytes.Contains(body, []byte(c.p.Contains)) {
		return misses("status %d with %s", resp.StatusCode, quote(body))
	}
	for _, name := range sortedKeys(c.p.Header) {
		if got := resp.Header.Values(name); !slices.Contains(got, c.p.Header[name]) {
			return misses("status %d, header %s: %s", resp.StatusCode, name, orNothing(strings.Join(got, ", ")))
		}
	}
	if len(c.p.JSON) > 0 {
		if seen := compareJSON(body, c.p.JSON); seen != "" {
			return misses("status %d, %s", resp.StatusCode, seen)
		}
	}
	return holds("status %d", resp.StatusCode)
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
