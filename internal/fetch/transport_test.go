package fetch

import (
	"context"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func get(t *testing.T, tr Transport, address string) (string, error) {
	t.Helper()
	client, err := NewClient(tr)
	if err != nil {
		t.Fatal(err)
	}
	f := quick()
	f.Client, f.Tries = client, 1
	d, err := f.Get(context.Background(), "it", []string{address}, 1000, Condition{})
	if err != nil {
		return "", err
	}
	return string(d.Body), nil
}

// whoami answers with the credentials it was sent.
func whoami(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	fmt.Fprintf(w, "%s:%s", user, password)
}

func noEnv(string) string { return "" }

func TestCredentials(t *testing.T) {
	target := serve(t, whoami)
	other := strings.Replace(target, "127.0.0.1", "localhost", 1)
	redirect := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other+"/x", http.StatusFound) })
	u, _ := url.Parse(target)
	auth := []Credential{{Scheme: "http", Host: u.Host, Path: "/deb", Login: "me", Password: "pw"}}
	cases := map[string]struct{ address, want string }{
		"in the address":       {strings.Replace(target, "http://", "http://a:b@", 1), "a:b"},
		"of its host and path": {target + "/deb/x", "me:pw"},
		"not of another path":  {target + "/debian", ":"},
		"not of another host":  {other + "/deb/x", ":"},
		"not over a redirect":  {strings.Replace(redirect, "http://", "http://a:b@", 1), ":"},
	}
	for name, c := range cases {
		if got, err := get(t, Transport{Auth: auth, Getenv: noEnv}, c.address); got != c.want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	plain := serve(t, whoami)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain, http.StatusFound) }))
	t.Cleanup(secure.Close)
	ca := certificate(t, secure)
	if _, err := get(t, Transport{TLS: TLS{CAFile: ca}, Getenv: noEnv}, secure.URL); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("https to http: got %v", err)
	}
	toFile := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/hostname")
		w.WriteHeader(302)
	})
	if _, err := get(t, Transport{Getenv: noEnv}, toFile); err == nil || !strings.Contains(err.Error(), "file:") {
		t.Errorf("http to file: got %v", err)
	}
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	if _, err := get(t, Transport{Getenv: noEnv}, loop); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("loop: got %v", err)
	}
}

// certificate writes a server's certificate as a CA file.
func certificate(t *testing.T, s *httptest.Server) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrivateCA(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(whoami))
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	if _, err := get(t, Transport{Getenv: noEnv}, secure.URL); err == nil || !strings.Contains(err.Error(), "CaInfo") || Unreachable(err) {
		t.Errorf("unknown authority: got %v", err)
	}
	ca := certificate(t, secure)
	for name, tr := range map[string]Transport{
		"for all":  {TLS: TLS{CAFile: ca}, Getenv: noEnv},
		"for host": {HostTLS: map[string]TLS{"127.0.0.1": {CAFile: ca}}, Getenv: noEnv},
	} {
		if _, err := get(t, tr, secure.URL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewClient(Transport{TLS: TLS{CAFile: "/dev/null"}}); err == nil {
		t.Error("an empty CA file: no error")
	}
}

func TestProxy(t *testing.T) {
	var asked atomic.Int64
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); fmt.Fprint(w, r.URL.String()) })
	env := func(set map[string]string) func(string) string { return func(name string) string { return set[name] } }
	cases := map[string]struct {
		tr   Transport
		want bool
	}{
		"environment":    {Transport{Getenv: env(map[string]string{"http_proxy": proxy})}, true},
		"upper case":     {Transport{Getenv: env(map[string]string{"HTTP_PROXY": proxy})}, true},
		"no_proxy":       {Transport{Getenv: env(map[string]string{"http_proxy": proxy, "no_proxy": ".invalid"})}, false},
		"set":            {Transport{HTTPProxy: proxy, Getenv: noEnv}, true},
		"set, not https": {Transport{HTTPSProxy: proxy, Getenv: noEnv}, false},
		"set to none":    {Transport{HTTPProxy: "DIRECT", Getenv: env(map[string]string{"http_proxy": proxy})}, false},
		"host":           {Transport{HostProxy: map[string]string{"http://m.invalid": proxy}, Getenv: noEnv}, true},
		"host to none":   {Transport{HTTPProxy: proxy, HostProxy: map[string]string{"m.invalid": "DIRECT"}, Getenv: noEnv}, false},
	}
	for name, c := range cases {
		got, err := get(t, c.tr, "http://m.invalid/x")
		if used := err == nil && got == "http://m.invalid/x"; used != c.want {
			t.Errorf("%s: got %q, %v; want the proxy used: %v", name, got, err, c.want)
		}
	}
}

func TestParseAuth(t *testing.T) {
	got, err := ParseAuth("# c\nmachine a.example/x login u\n password p machine http://b:80\nlogin v password w")
	want := []Credential{{"https", "a.example", "/x", "u", "p"}, {"http", "b:80", "", "v", "w"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, in := range []string{"login x", "machine", "machine a what b", "machine a login"} {
		if _, err := ParseAuth(in); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", want, want, want); strings.Contains(text, "p\"") || strings.Contains(text, " w") {
		t.Errorf("printing tells the password: %s", text)
	}
}

func FuzzParseAuth(f *testing.F) {
	f.Add("machine a login b password c")
	f.Fuzz(func(t *testing.T, in string) {
		list, _ := ParseAuth(in)
		for _, c := range list {
			c.matches(&url.URL{Scheme: "https", Host: "x", Path: "/"})
		}
	})
}

func TestRank(t *testing.T) {
	const ms = time.Millisecond
	bases := []string{"slow", "near", "dead", "close", "far"}
	took := []time.Duration{90 * ms, 10 * ms, silent, 19 * ms, 50 * ms}
	reverse := func(n int, swap func(i, j int)) {
		for i := 0; i < n/2; i++ {
			swap(i, n-1-i)
		}
	}
	want := []string{"close", "near", "far", "slow", "dead"}
	if diff := cmp.Diff(want, rank(bases, took, reverse)); diff != "" {
		t.Error(diff)
	}
	up := serve(t, whoami)
	got := Rank(context.Background(), http.DefaultClient, []string{"http://127.0.0.1:1", up}, "x", rand.Shuffle)
	if got[0] != up {
		t.Errorf("got %v", got)
	}
}

func TestHealth(t *testing.T) {
	var h health
	urls := []string{"http://a/1", "http://b/1"}
	for range deadAfter {
		h.bad("http://a/2")
	}
	if got := h.order(urls); got[0] != "http://b/1" {
		t.Errorf("a dead mirror is first: %v", got)
	}
	h.good("http://a/3")
	if got := h.order(urls); got[0] != "http://a/1" {
		t.Errorf("a living mirror is last: %v", got)
	}
}
