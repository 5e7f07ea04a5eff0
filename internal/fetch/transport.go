package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// Transport says how addresses are reached. The zero value uses the
// environment's proxy (http_proxy, https_proxy, no_proxy) and the host's
// certificates.
type Transport struct {
	HTTPProxy  string            // for http; "" = the environment's, "DIRECT" = none
	HTTPSProxy string            // for https; "" = HTTPProxy's rule does not apply, the environment's does
	HostProxy  map[string]string // by "scheme://host" or host, before the two above; "DIRECT" = none
	TLS        TLS               // for every host that HostTLS does not name
	HostTLS    map[string]TLS    // by host name
	Auth       []Credential      // sent to their own hosts only
	Getenv     func(string) string
}

// TLS names PEM files. Verification cannot be switched off.
type TLS struct {
	CAFile   string // trusted instead of the host's own certificates
	CertFile string // client certificate
	KeyFile  string // its key; default: in CertFile
}

// policyError refuses an address or a redirect.
type policyError struct{ text string }

func (e *policyError) Error() string { return e.text }

const maxRedirects = 10

// NewClient makes a client for t. It refuses redirects from https to http,
// leaves compressed files compressed, and serves file: addresses.
func NewClient(t Transport) (*http.Client, error) {
	proxy := t.proxy()
	base, err := newRoundTripper(t.TLS, proxy)
	if err != nil {
		return nil, err
	}
	r := &router{base: base, hosts: map[string]http.RoundTripper{}, auth: t.Auth}
	for host, files := range t.HostTLS {
		if r.hosts[strings.ToLower(host)], err = newRoundTripper(files, proxy); err != nil {
			return nil, err
		}
	}
	return &http.Client{Transport: r, CheckRedirect: checkRedirect}, nil
}

func newRoundTripper(files TLS, proxy func(*http.Request) (*url.URL, error)) (*http.Transport, error) {
	config, err := files.config()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   2 * DefaultParallel,
		DisableCompression:    true, // hashes are of the bytes as stored
		ForceAttemptHTTP2:     true,
	}, nil
}

func (files TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CAFile != "" {
		pem, err := os.ReadFile(files.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the trusted certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the trusted certificates: %s holds no PEM certificate", files.CAFile)
		}
	}
	if files.CertFile != "" {
		key := files.KeyFile
		if key == "" {
			key = files.CertFile
		}
		pair, err := tls.LoadX509KeyPair(files.CertFile, key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// proxy returns the rule which proxy serves a request: the host's own entry,
// the scheme's, the environment's; no_proxy excepts from all of them.
func (t Transport) proxy() func(*http.Request) (*url.URL, error) {
	getenv := t.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	either := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToUpper(name))
	}
	environment := httpproxy.Config{HTTPProxy: either("http_proxy"), HTTPSProxy: either("https_proxy"), NoProxy: either("no_proxy")}
	if environment.HTTPProxy != "" && getenv("REQUEST_METHOD") != "" && getenv("http_proxy") == "" {
		environment.HTTPProxy = "" // in a CGI program HTTP_PROXY is the client's header
	}
	general := environment
	override(&general.HTTPProxy, t.HTTPProxy)
	override(&general.HTTPSProxy, t.HTTPSProxy)
	rule := general.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		host := strings.ToLower(r.URL.Hostname())
		own, ok := t.HostProxy[r.URL.Scheme+"://"+host]
		if !ok {
			own, ok = t.HostProxy[host]
		}
		if !ok {
			return rule(r.URL)
		}
		one := httpproxy.Config{NoProxy: environment.NoProxy}
		override(&one.HTTPProxy, own)
		override(&one.HTTPSProxy, own)
		return one.ProxyFunc()(r.URL)
	}
}

// override sets a proxy from a configured value: "" keeps, DIRECT clears.
func override(proxy *string, value string) {
	switch {
	case value == "":
	case strings.EqualFold(value, "DIRECT"):
		*proxy = ""
	default:
		*proxy = value
	}
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case len(via) >= maxRedirects:
		return &policyError{"more than 10 redirects"}
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return &policyError{fmt.Sprintf("redirected to a %s: address, which is not followed", r.URL.Scheme)}
	case from.Scheme == "https" && r.URL.Scheme != "https":
		return &policyError{fmt.Sprintf("redirected from https to http (%s), which is not followed", redact(r.URL.String()))}
	}
	return nil
}

// userKey holds, in a request's context, credentials that stood in its
// address. They apply to that scheme and host only, wherever redirects lead.
type userKey struct{}

type addressUser struct {
	origin string
	user   *url.Userinfo
}

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// newRequest makes a GET request whose address carries no credentials.
func newRequest(ctx context.Context, address string) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, &policyError{"it is not an address"}
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, &policyError{"the address names no host"}
		}
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return nil, &policyError{"a file: address is local; write file:///path"}
		}
	default:
		return nil, &policyError{fmt.Sprintf("addresses are http:, https: or file:, not %q", u.Scheme)}
	}
	if u.User != nil {
		ctx = context.WithValue(ctx, userKey{}, addressUser{origin(u), u.User})
		u.User = nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, &policyError{"it is not an address"}
	}
	r.Header.Set("User-Agent", "slipway")
	return r, nil
}

// router sends a request through the transport of its host, with the
// credentials of its host.
type router struct {
	base  http.RoundTripper
	hosts map[string]http.RoundTripper
	auth  []Credential
}

// RoundTrip implements http.RoundTripper.
func (t *router) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "file" {
		return serveFile(r)
	}
	if r.URL.User != nil {
		return nil, errors.New("credentials in a redirected address are not used")
	}
	r = r.Clone(r.Context())
	r.Header.Del("Authorization") // net/http keeps it across some redirects
	if c, ok := t.credential(r); ok {
		password, _ := c.Password()
		r.SetBasicAuth(c.Username(), password)
	}
	if own, ok := t.hosts[strings.ToLower(r.URL.Hostname())]; ok {
		return own.RoundTrip(r)
	}
	return t.base.RoundTrip(r)
}

func (t *router) credential(r *http.Request) (*url.Userinfo, bool) {
	if own, ok := r.Context().Value(userKey{}).(addressUser); ok && own.origin == origin(r.URL) {
		return own.user, true
	}
	for _, c := range t.auth {
		if c.matches(r.URL) {
			return url.UserPassword(c.Login, c.Password), true
		}
	}
	return nil, false
}
