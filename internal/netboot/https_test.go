package netboot

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/dhcp"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// trusting is a client that trusts an authority, and shows the certificate of a
// machine; no name: none.
func trusting(t *testing.T, trusted []byte, by *boothttp.Authority, name string) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM(trusted)
	if name != "" {
		crt, key, err := by.Identity(name, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(crt, key)
		if err != nil {
			t.Fatal(err)
		}
		// Certificates alone would not show one that the server does not ask for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

func get(c *http.Client, address string) (int, string, error) {
	r, err := c.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

// All that HTTP has is there over HTTPS for who trusts the server's authority;
// with Certified a secret is given only to its machine's certificate.
func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"vmlinuz", "initrd"} {
		write(t, dir, name, "the "+name)
	}
	ca, err := boothttp.OpenAuthority(filepath.Join(dir, "ca"), "slipway serve", nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := boothttp.OpenAuthority(filepath.Join(dir, "foreign"), "another", nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{HTTPS: l, Authority: ca, Certified: true}
	s.Images = Fixed{"node": &System{Version: "v1", Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"), Secret: true}}
	s.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the page") })
	plain, heard := serving(t, s, ramNode)
	base := "https://" + l.Addr().String()

	status, bundle := fetch(t, plain+"/ca.pem")
	if status != http.StatusOK || bundle != string(ca.Bundle()) {
		t.Fatalf("the authority's certificate: %d %q", status, bundle)
	}
	anybody := trusting(t, []byte(bundle), nil, "")
	for path, want := range map[string]string{"/ca.pem": bundle, "/": "the page"} {
		if status, text, err := get(anybody, base+path); status != http.StatusOK || text != want {
			t.Errorf("%s: %d %q, %v", path, status, text, err)
		}
	}
	if _, text, err := get(trusting(t, foreign.Bundle(), nil, ""), base+"/"); err == nil {
		t.Errorf("who trusts another authority gets %q", text)
	}
	if _, text, err := get(trusting(t, ca.Bundle(), foreign, "node"), base+"/"); err == nil {
		t.Errorf("with a certificate of another authority one gets %q", text)
	}

	request := &dhcp.Request{Client: "52:54:00:04:04:03"}
	mint := func() string {
		request.XID++
		return s.policy.token(request, dhcp.Decision{Machine: "node", Address: netip.MustParseAddr("127.0.0.1")})
	}
	word := mint()
	status, script, err := get(anybody, base+"/b/"+word+"/"+scriptName)
	kernel := regexp.MustCompile(regexp.QuoteMeta(base) + `/b/[^ ]*/vmlinuz`).FindString(script)
	initrd := regexp.MustCompile(regexp.QuoteMeta(base) + `/b/[^ ]*/initrd`).FindString(script)
	if status != http.StatusOK || kernel == "" || initrd == "" {
		t.Fatalf("the script: %d, %v\n%s", status, err, script)
	}
	if status, _, err := get(anybody, kernel); status != http.StatusOK {
		t.Errorf("the kernel, which is no secret: %d, %v", status, err)
	}
	for who, c := range map[string]*http.Client{"nobody": anybody, "another machine": trusting(t, ca.Bundle(), ca, "other")} {
		before := heard.count(fleet.KindHTTPRefused)
		if status, _, err := get(c, initrd); status != http.StatusForbidden || heard.count(fleet.KindHTTPRefused) != before+1 {
			t.Errorf("%s gets %d, %v; %d refusals are shown, were %d", who, status, err, heard.count(fleet.KindHTTPRefused), before)
		}
	}
	if status, _ := fetch(t, strings.Replace(initrd, base, plain, 1)); status != http.StatusForbidden {
		t.Errorf("over HTTP one gets %d", status)
	}
	if status, text, err := get(trusting(t, ca.Bundle(), ca, "node"), initrd); status != http.StatusOK || text != "the initrd" {
		t.Errorf("the machine gets %d %q, %v", status, text, err)
	}
}

// A machine for which there is no room is told when to come back, and is served
// then; who does not come back is served at once.
func TestStorm(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "initrd", "the initrd")
	write(t, dir, "vmlinuz", "")
	if err := os.Truncate(filepath.Join(dir, "vmlinuz"), 64<<20); err != nil { // more than sockets hold
		t.Fatal(err)
	}
	s := &Server{Admission: &boothttp.Admission{Transfers: 1}}
	s.Images = Fixed{"node": &System{Version: "v1", Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd")}}
	base, heard := serving(t, s, ramNode)
	word := s.Tokens().Mint(token.Claim{Client: "52:54:00:04:04:03", Machine: "node", Address: netip.MustParseAddr("127.0.0.1")})
	_, script := fetch(t, base+"/b/"+word+"/"+scriptName)
	kernel := regexp.MustCompile(`/f/[0-9a-f]{64}/vmlinuz`).FindString(script)
	ask := func(agent string) *http.Response {
		t.Helper()
		q, _ := http.NewRequest(http.MethodGet, base+"/b/"+word+kernel, nil)
		q.Header.Set("User-Agent", agent)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := ask("iPXE/1.21.1")
	if first.StatusCode != http.StatusOK {
		t.Fatalf("the first gets %s", first.Status)
	}
	second := ask("iPXE/1.21.1")
	second.Body.Close()
	after, err := strconv.Atoi(second.Header.Get("Retry-After"))
	if second.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 || after > 60 {
		t.Errorf("the second gets %s, Retry-After %q", second.Status, second.Header.Get("Retry-After"))
	}
	if heard.count(fleet.KindHTTPBusy) != 1 {
		t.Errorf("%d machines that wait are shown, want 1", heard.count(fleet.KindHTTPBusy))
	}
	other := ask("Wget")
	other.Body.Close()
	if other.StatusCode != http.StatusOK {
		t.Errorf("a client that does not come back gets %s", other.Status)
	}
	if n, err := io.Copy(io.Discard, first.Body); n != 64<<20 || err != nil {
		t.Errorf("the first got %d bytes, %v", n, err)
	}
	first.Body.Close()
	status := 0
	for end := time.Now().Add(10 * time.Second); status != http.StatusOK && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		again := ask("iPXE/1.21.1")
		again.Body.Close()
		status = again.StatusCode
	}
	if status != http.StatusOK {
		t.Errorf("when there is room the second gets %d", status)
	}
}
