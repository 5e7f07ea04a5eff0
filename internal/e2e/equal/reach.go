package equal

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/hostapt"
	"slipway/internal/fetch"
	"slipway/internal/sandbox"
)

// reach is how mmdebstrap reaches the archive that slipway uses: by the
// host's apt configuration, else at the official addresses.
type reach struct {
	main, security string
	options        []string // of apt
	binds          []sandbox.Bind
	login          string // lines of apt_auth.conf(5)
}

const (
	keyFile   = "/usr/share/keyrings/reference.gpg"
	loginFile = "/etc/reference-auth.conf"
)

func hostReach() (*reach, error) {
	main, security, transport, err := hostapt.Mirror("/", "debian")
	if err != nil {
		return nil, fmt.Errorf("reading the host's apt configuration: %w", err)
	}
	r := &reach{main: cmp.Or(main, archive.Debian.Official.Main)}
	r.security = cmp.Or(security, archive.Debian.Official.Security)
	if main != "" && security == "" {
		r.security = archive.Debian.Security(archive.Mirror{Main: main})[0]
	}
	r.proxies(transport)
	r.certificates(transport.TLS)
	for _, c := range transport.Auth {
		r.login += fmt.Sprintf("machine %s://%s%s login %s password %s\n", c.Scheme, c.Host, c.Path, c.Login, c.Password)
	}
	if r.login != "" {
		r.option("Dir::Etc::netrc", loginFile)
	}
	return r, nil
}

func (r *reach) option(name, value string) {
	r.options = append(r.options, fmt.Sprintf("%s %q;", name, value))
}

func (r *reach) proxies(t fetch.Transport) {
	if t.HTTPProxy != "" {
		r.option("Acquire::http::Proxy", t.HTTPProxy)
	}
	if t.HTTPSProxy != "" {
		r.option("Acquire::https::Proxy", t.HTTPSProxy)
	}
	for host, proxy := range t.HostProxy {
		scheme, name, ok := strings.Cut(host, "://")
		if !ok {
			scheme, name = "http", host
		}
		r.option("Acquire::"+scheme+"::Proxy::"+name, proxy)
	}
	slices.Sort(r.options)
}

// certificates shows the PEM files to mmdebstrap's apt.
func (r *reach) certificates(files fetch.TLS) {
	for _, f := range []struct{ name, path string }{{"CaInfo", files.CAFile}, {"SslCert", files.CertFile}, {"SslKey", files.KeyFile}} {
		if f.path == "" {
			continue
		}
		target := "/etc/reference-" + filepath.Base(f.path)
		r.binds = append(r.binds, sandbox.Bind{Source: f.path, Target: target, ReadOnly: true})
		r.option("Acquire::https::"+f.name, target)
	}
}

// write puts the keys, and credentials if any, into mmdebstrap's machine.
func (r *reach) write(root string) error {
	keys, err := archive.Debian.KeyFile()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, keyFile), keys, 0o644); err != nil {
		return err
	}
	if r.login == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(root, loginFile), []byte(r.login), 0o600)
}

// sources are the three suites of a release, as lines of sources.list(5).
func (r *reach) sources(release string) []string {
	line := func(address, suite string) string {
		return fmt.Sprintf("deb [signed-by=%s] %s %s main", keyFile, strings.TrimRight(address, "/"), suite)
	}
	return []string{line(r.main, release), line(r.main, release+"-updates"), line(r.security, release+"-security")}
}
