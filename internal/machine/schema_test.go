package machine

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// Every key says what it means, and its example is accepted.
func TestKeysAreDocumented(t *testing.T) {
	for _, k := range KeyDocs() {
		if !strings.HasSuffix(k.Text, ".") || k.Type == "" {
			t.Errorf("%s: text %q, type %q", k.Key, k.Text, k.Type)
		}
		if strings.HasPrefix(k.Key, "when") || k.Example == "" {
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(k.Example), &value); err != nil {
			t.Errorf("%s: example %s: %v", k.Key, k.Example, err)
		}
		if !strings.Contains(k.Key, ".") && k.Key != "include" && k.Key != "replace" {
			text := k.Key + ": " + k.Example + "\n"
			for _, need := range []string{"slipway: v1", "name: web", "system: debian/trixie"} {
				if !strings.HasPrefix(need, k.Key+":") {
					text += need + "\n"
				}
			}
			if k.Key == "network_backend" || k.Key == "resolver" {
				text += "network: [{match: eth0, dhcp: true}]\n"
			}
			if _, err := define(t, text); err != nil {
				t.Errorf("the example of %s: %v", k.Key, err)
			}
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{"1K": 1024, "1.5G": 3 << 29, "512M": 512 << 20, "2T": 2 << 40, "100B": 100, "0K": 0} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{"", "1", "G", "1g", "1GB", "-1G", "1.G", ".5G", "1..5G", "1.5B", "1e3K", "99999999T", " 1G"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParsePort(t *testing.T) {
	for text, want := range map[string]Port{
		"8080:80":         {Host: 8080, Machine: 80},
		"53:53/udp":       {Host: 53, Machine: 53, UDP: true},
		"0.0.0.0:1:65535": {Address: "0.0.0.0", Host: 1, Machine: 65535},
		"[::1]:8443:443":  {Address: "::1", Host: 8443, Machine: 443},
	} {
		got, err := ParsePort(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParsePort(%q) = %+v (%s), %v, want %+v", text, got, got, err, want)
		}
	}
	for _, text := range []string{"", "80", ":80", "80:", "0:1", "1:65536", "+1:2", "a:1:2", "::1:1:2", "[1.2.3.4]:1:2", "1:2/sctp", "1:2:3:4"} {
		if got, err := ParsePort(text); err == nil {
			t.Errorf("ParsePort(%q) = %+v, want an error", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"packages", "probes", "ports", "hostname"}
	for written, want := range map[string]string{"pakages": "packages", "Packages": "packages", "port": "ports", "hostnmae": "hostname", "qqqqqqqq": "", "prbes": "probes"} {
		if got := nearest(written, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", written, got, want)
		}
	}
}

// Ordinary configuration is not taken for secrets, and secrets are found.
func TestSecretText(t *testing.T) {
	for _, text := range []string{
		"PasswordAuthentication no\n", "unix password sync = no", "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd",
		"password_file: /run/secrets/db", "DB_PASSWORD=${DB_PASSWORD}", "token: $TOKEN", "password=\n", "auth_mechanisms = plain login",
		"passdb {\n  driver = pam\n}", "https://example.org/a:b@c", "git clone ssh://git@example.org/x", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPassword ops",
		"location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; }", "password requisite pam_deny.so", "#password: none", "echo $x",
		"passwd: files systemd", "ssl_certificate_key /etc/ssl/private/key.pem;", "secret: {file: ./x}", "if [ \"$token\" = x ]; then :; fi",
	} {
		if what := secretText(text); what != "" {
			t.Errorf("%q is taken for %s", text, what)
		}
	}
	for _, text := range []string{
		"-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN PGP PRIVATE KEY BLOCK-----", "x ghp_0123456789abcdefghijklmnopqrstuvwxyz", "glpat-0123456789abcdefghij",
		"ops:$6$saltsalt$hashhashhash:19000", "ALTER USER x WITH PASSWORD 'swordfish';", "IDENTIFIED BY 'swordfish'", "password: swordfish\n",
		"  \"api_key\": \"abcdef123\"", "PrivateKey = 0123456789abcdefghijklmnopqrstuvwxyzABCDEFG=", "postgres://app:swordfish@db/app", "curl -H 'Authorization: Bearer abcdefghijkl'",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "export MYSQL_ROOT_PASSWORD=swordfish", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig",
	} {
		if secretText(text) == "" {
			t.Errorf("%q is not seen as a secret", text)
		}
	}
}

func TestDurationsAreBounded(t *testing.T) {
	d, err := define(t, header+"probes: [{tcp: 22, within: 1m30s}]\n")
	if err != nil || d.Probes[0].Within != 90*time.Second {
		t.Errorf("within: %v, %v", d, err)
	}
	for _, bad := range []string{"-1s", "0s", "1", "1d", "soon", "99999999999h"} {
		if _, err := define(t, header+"probes: [{tcp: 22, within: \""+bad+"\"}]\n"); err == nil {
			t.Errorf("within: %s is accepted", bad)
		}
	}
}
