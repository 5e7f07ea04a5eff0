package hostapt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/internal/fetch"
)

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const debianRelease = "ID=debian\nVERSION_CODENAME=bookworm\n"

func TestMirror(t *testing.T) {
	cases := map[string]struct {
		release        string
		sources        map[string]string
		main, security string
	}{
		"deb822": {debianRelease, map[string]string{"sources.list.d/debian.sources": `# comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`}, "http://mirror.example/debian", "http://mirror.example/debian-security"},
		"one line": {debianRelease, map[string]string{"sources.list": `
deb-src http://src.example/debian bookworm main
deb [ arch=amd64,i386 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] https://a.example/debian trixie main contrib # x
deb http://a.example/debian-security trixie-security main
deb http://a.example/debian trixie-updates main
`}, "https://a.example/debian", "http://a.example/debian-security"},
		"others only": {debianRelease, map[string]string{
			"sources.list.d/docker.list": "deb https://download.example/linux/debian bookworm stable\n",
			"sources.list.d/php.list":    "deb [signed-by=/usr/share/keyrings/php.gpg] https://php.example/php bookworm main\n",
			"sources.list.d/cloud.list":  "deb https://packages.example/apt cloud-sdk-bookworm main\n",
			"sources.list.d/node.list":   "deb https://deb.example/node nodistro main\n",
		}, "", ""},
		"others first": {debianRelease, map[string]string{
			"sources.list.d/a.list": "deb [signed-by=/etc/apt/keyrings/x.gpg] https://x.example/debian bookworm main\ndeb https://y.example/thing bookworm main\n",
			"sources.list":          "deb http://m.example/pub/debian/ bookworm main\n",
		}, "http://m.example/pub/debian", ""},
		"disabled": {debianRelease, map[string]string{"sources.list.d/x.sources": "Enabled: no\nTypes: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\n"}, "", ""},
		"ignored names": {debianRelease, map[string]string{
			"sources.list.d/x.list.save": "deb http://m.example/debian bookworm main\n", "sources.list.d/a b.list": "deb http://m.example/debian bookworm main\n",
		}, "", ""},
		"file":        {debianRelease, map[string]string{"sources.list": "deb file:/srv/debian bookworm main\n"}, "file:///srv/debian", ""},
		"other host":  {"ID=ubuntu\nVERSION_CODENAME=noble\n", map[string]string{"sources.list": "deb http://m.example/debian bookworm main\n"}, "", ""},
		"nothing":     {"", nil, "", ""},
		"old suite":   {debianRelease, map[string]string{"sources.list": "deb http://m.example/debian buster main\ndeb http://m.example/debian-security buster/updates main\n"}, "http://m.example/debian", "http://m.example/debian-security"},
		"not usable":  {debianRelease, map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\ndeb cdrom:[Debian GNU/Linux 12]/ bookworm main\n"}, "", ""},
		"credentials": {debianRelease, map[string]string{"sources.list": "deb https://me:secret@m.example/debian bookworm main\n"}, "https://m.example/debian", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"etc/os-release": c.release}
			for path, text := range c.sources {
				files["etc/apt/"+path] = text
			}
			main, security, _, err := Mirror(tree(t, files), "debian")
			if err != nil || main != c.main || security != c.security {
				t.Errorf("got %q, %q, %v; want %q, %q", main, security, err, c.main, c.security)
			}
		})
	}
}

func TestMirrorOfUbuntu(t *testing.T) {
	release := "ID=ubuntu\nVERSION_CODENAME=noble\n"
	deb822 := "Types: deb\nURIs: http://%s/\nSuites: noble noble-updates noble-backports\nComponents: main universe restricted multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n\n" +
		"Types: deb\nURIs: http://%s/\nSuites: noble-security\nComponents: main universe restricted multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
	others := "deb [signed-by=/usr/share/keyrings/x.gpg] https://ppa.example/x/ubuntu noble main\n"
	for _, c := range [][2]string{{"archive.ubuntu.com/ubuntu", "security.ubuntu.com/ubuntu"}, {"ports.ubuntu.com/ubuntu-ports", "ports.ubuntu.com/ubuntu-ports"}} {
		main, security, _, err := Mirror(tree(t, map[string]string{
			"etc/os-release": release, "etc/apt/sources.list.d/ubuntu.sources": fmt.Sprintf(deb822, c[0], c[1]), "etc/apt/sources.list.d/a.list": others,
		}), "ubuntu")
		if err != nil || main != "http://"+c[0] || security != "http://"+c[1] {
			t.Errorf("got %q, %q, %v", main, security, err)
		}
	}
}

func TestTransport(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/os-release": debianRelease,
		"etc/apt/apt.conf.d/10proxy": `// comment
Acquire::http::Proxy "http://proxy.example:3128";
/* and
 more */ Acquire {
  http { Proxy { direct.example "DIRECT"; "other.example" "http://p2:1"; }; Pipeline-Depth 0; };
  https::CaInfo "/etc/ssl/private-ca.pem";
  https { inner.example { CaInfo "/etc/ssl/inner.pem"; SslCert "/c"; SslKey "/k"; Verify-Peer "false"; } }
  Languages { "none"; };
};
# a comment
#clear Acquire::x;
Acquire::https::Verify-Host::bad.example "no";
Acquire::Check-Valid-Until "false";
Acquire::AllowInsecureRepositories "0";
Acquire::http::Proxy-Auto-Detect "/usr/bin/auto";
`,
		"etc/apt/apt.conf.d/ignored.bak": `Acquire::http::Proxy "http://wrong:1";`,
		"etc/apt/auth.conf":              "machine example.org/deb login me password secret\n# x\nmachine http://plain.example\nlogin a\npassword b\n",
		"etc/apt/auth.conf.d/x.conf":     "machine x.example login u password p",
		"etc/apt/sources.list":           "deb [trusted=yes check-valid-until=no] https://me:pw@m.example/debian bookworm main\n",
	})
	h, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	want := fetch.Transport{
		HTTPProxy: "http://proxy.example:3128", HTTPSProxy: "http://proxy.example:3128",
		HostProxy: map[string]string{"http://direct.example": "DIRECT", "https://direct.example": "DIRECT", "http://other.example": "http://p2:1", "https://other.example": "http://p2:1"},
		TLS:       fetch.TLS{CAFile: root + "/etc/ssl/private-ca.pem"},
		HostTLS:   map[string]fetch.TLS{"inner.example": {CAFile: root + "/etc/ssl/inner.pem", CertFile: root + "/c", KeyFile: root + "/k"}},
		Auth: []fetch.Credential{
			{Scheme: "https", Host: "example.org", Path: "/deb", Login: "me", Password: "secret"},
			{Scheme: "http", Host: "plain.example", Login: "a", Password: "b"},
			{Scheme: "https", Host: "x.example", Login: "u", Password: "p"},
			{Scheme: "https", Host: "m.example", Login: "me", Password: "pw"},
		},
	}
	if diff := cmp.Diff(want, h.Transport, cmpopts.IgnoreFields(fetch.Transport{}, "Getenv")); diff != "" {
		t.Error(diff)
	}
	ignored := strings.Join(h.Ignored, "\n")
	for _, text := range []string{"trusted=yes", "check-valid-until=no", "verify-peer", "verify-host", "check-valid-until \"false\""} {
		if !strings.Contains(ignored, text) {
			t.Errorf("%q is not reported as ignored:\n%s", text, ignored)
		}
	}
	if strings.Contains(ignored+strings.Join(h.Notes, "\n"), "pw") || strings.Contains(ignored, "allowinsecure") {
		t.Errorf("notes tell too much: %s %s", ignored, h.Notes)
	}
	if len(h.Notes) != 1 || !strings.Contains(h.Notes[0], "is not run") {
		t.Errorf("got notes %q", h.Notes)
	}
}

func TestRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"conf":    {"etc/apt/apt.conf": "Acquire { http {"},
		"conf 2":  {"etc/apt/apt.conf": "}"},
		"quote":   {"etc/apt/apt.conf": `A "x`},
		"comment": {"etc/apt/apt.conf": "/* x"},
		"sources": {"etc/apt/sources.list": "deb http://x\n"},
		"options": {"etc/apt/sources.list": "deb [a=b http://x bookworm main\n"},
		"auth":    {"etc/apt/auth.conf": "login secretword password x"},
		"deb822":  {"etc/apt/sources.list.d/x.sources": "nothing\n"},
	} {
		_, err := Read(tree(t, files))
		if err == nil || !strings.Contains(err.Error(), "/etc/apt/") || strings.Contains(err.Error(), "secretword") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	root := tree(t, map[string]string{"etc/apt/auth.conf": "machine x login y password z"})
	if err := os.Chmod(filepath.Join(root, "etc/apt/auth.conf"), 0); err != nil {
		t.Fatal(err)
	}
	if h, err := Read(root); err != nil || len(h.Notes) != 1 {
		t.Errorf("got %v, %v", h, err)
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add(`A::B "c"; A { B { "x"; y "z"; } } // e`)
	f.Fuzz(func(t *testing.T, in string) {
		list, _ := parseConf(in)
		h := &Host{}
		for _, s := range list {
			h.apply("f", s)
		}
	})
}

func FuzzSources(f *testing.F) {
	f.Add("deb [trusted=yes] http://a@b/debian bookworm main\n", false)
	f.Add("Types: deb\nURIs: x:y\nSuites: a b\n", true)
	f.Fuzz(func(t *testing.T, in string, deb822 bool) {
		h := &Host{Distro: "debian"}
		parse := parseOneLine
		if deb822 {
			parse = parseDeb822
		}
		list, _ := parse(in)
		if len(list) > 100 {
			return
		}
		for _, s := range list {
			h.addStanza("f", s)
		}
		h.Mirror("debian")
	})
}
