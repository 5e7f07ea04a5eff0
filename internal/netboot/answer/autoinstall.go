package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/cloud"
)

// subiquity is the part of Ubuntu's autoinstall that definitions need, version
// 1. It is written as JSON, which is YAML as well.
type subiquity struct {
	Version   int               `json:"version"`
	Locale    string            `json:"locale"`
	Keyboard  map[string]string `json:"keyboard"`
	Timezone  string            `json:"timezone"`
	Network   json.RawMessage   `json:"network"`
	APT       map[string]any    `json:"apt"`
	Storage   map[string]any    `json:"storage"`
	SSH       map[string]any    `json:"ssh"`
	Kernel    map[string]string `json:"kernel,omitempty"`
	Packages  []string          `json:"packages,omitempty"`
	Early     []string          `json:"early-commands"`
	Late      []string          `json:"late-commands"`
	Failed    []string          `json:"error-commands"`
	Reporting map[string]any    `json:"reporting,omitempty"`
	UserData  map[string]any    `json:"user-data"`
	Shutdown  string            `json:"shutdown"`
}

// autoinstall renders for Subiquity: its answer is the user data of a NoCloud
// source, and what it does not say is done by setup.sh at the end.
func autoinstall(d *machine.Definition, f Facts) ([]File, error) {
	r := &refusals{d: d, format: "an autoinstall"}
	r.keys("init", "base", "packages", "recommends", "files", "users", "services", "hostname", "timezone", "locale", "sysctl",
		"mounts", "network", "run", "kernel", "disk", "boot")
	if d.Distribution() != "ubuntu" {
		r.at("system", d.System, "Subiquity installs ubuntu", "choose another kind of installer")
	}
	if f.Base == "" {
		return nil, fmt.Errorf("rendering an autoinstall for %s: its script is fetched, and no base address is known", d.Name)
	}
	r.boot()
	r.disk("ext4", "xfs", "btrfs", "vfat")
	if _, given := d.Set["base"]; given && d.Base != "minbase" {
		r.at("base", d.Base, "the live server's own base is installed", "remove it")
	}
	s := newSetup(d)
	for _, part := range []func(){func() { s.accounts(nil) }, func() { s.keys(nil) }, s.sudo, s.files, s.kernel, s.services, s.run} {
		part()
	}
	if words := kernelWords(d); len(words) > 0 {
		s.line("sed -i 's|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX=\"%s\"|' /etc/default/grub; update-grub", strings.Join(words, " "))
	}
	a := subiquity{
		Version: 1, Locale: or(d.Locale, "en_US.UTF-8"), Keyboard: map[string]string{"layout": or(f.Keyboard, "us")}, Timezone: or(d.Timezone, "Etc/UTC"),
		APT: r.aptMirror(f), Storage: r.curtin(f), SSH: map[string]any{"install-server": letsIn(d), "allow-pw": false},
		Packages: r.names(), UserData: map[string]any{"hostname": hostname(d), "users": []any{}}, Shutdown: "reboot",
	}
	if k := d.Kernels()[0].Package; k != "auto" {
		a.Kernel = map[string]string{"package": k}
	}
	secrets := secretFiles(s)
	a.commands(f, secrets)
	var err error
	if a.Network, err = cloud.Network(d, f.MACs); err != nil {
		return nil, err
	}
	if err := errors.Join(errors.Join(s.errs...), r.err()); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("#cloud-config\n")
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{"autoinstall": a}); err != nil {
		return nil, err
	}
	meta := fmt.Sprintf("instance-id: %s\n", or(f.Instance, "slipway-"+d.Name))
	return append([]File{
		{Name: "user-data", Type: "text/cloud-config", Data: out.Bytes(), Secret: true},
		{Name: "meta-data", Type: "text/yaml", Data: []byte(meta)},
		{Name: "vendor-data", Type: "text/cloud-config", Data: []byte("")},
		{Name: "setup.sh", Type: "text/x-shellscript", Data: []byte(s.out.String()), Secret: true},
	}, secrets...), nil
}

// commands report, and run setup.sh in the installed system.
func (a *subiquity) commands(f Facts, secrets []File) {
	get := "curl -fsS --retry 3 --max-time 60 -o "
	a.Early = []string{report(f, curlGet, "installer", "subiquity")}
	if len(secrets) > 0 {
		a.Late = append(a.Late, "install -d -m 0700 /target"+secretDir)
	}
	for _, s := range secrets {
		a.Late = append(a.Late, fmt.Sprintf("umask 077; %s/target%s/%s %s", get, secretDir, strings.TrimPrefix(s.Name, "file/"), quote(f.Base+s.Name)))
	}
	a.Late = append(a.Late, "umask 077; "+get+"/target/root/slipway-setup "+quote(f.Base+"setup.sh"), "curtin in-target -- sh /root/slipway-setup",
		"rm -f /target/root/slipway-setup", report(f, curlGet, "installed", "subiquity"))
	log := sendLog(f, curlPost, "subiquity-server-debug.log", "/var/log/installer/subiquity-server-debug.log")
	a.Failed = []string{log, report(f, curlGet, "failed", "Subiquity stopped")}
	if f.Logs != "" {
		a.Reporting = map[string]any{"slipway": map[string]string{"type": "webhook", "endpoint": f.Logs}}
	}
}

func letsIn(d *machine.Definition) bool {
	for _, u := range d.Users {
		if len(u.SSHKeys) > 0 {
			return true
		}
	}
	return false
}

// aptMirror is where packages come from, while it installs and afterwards.
func (r *refusals) aptMirror(f Facts) map[string]any {
	m := or(f.Mirror, r.d.Mirror.Main)
	if r.d.Mirror.None {
		r.at("mirror", "none", "Subiquity installs from the distribution's archive", "name its base address")
	}
	if m == "" {
		return map[string]any{"fallback": "abort"}
	}
	if u, err := url.Parse(m); err != nil || u.Scheme == "file" {
		r.at("mirror", m, "the installed machine has no such folder", "serve it by http")
	}
	return map[string]any{"fallback": "abort", "primary": []any{map[string]any{"arches": []string{"default"}, "uri": m}}}
}

// names are the packages; apt takes a version or a suite behind a name.
func (r *refusals) names() []string {
	var out []string
	for i, p := range r.d.Packages {
		if machine.IsLocalPackage(p) {
			r.at(fmt.Sprintf("packages.%d", i), p, "an installer cannot take a package of this host", "serve it from a repository")
			continue
		}
		out = append(out, p)
	}
	for _, u := range r.d.Users {
		if u.Sudo != "" {
			return append(out, "sudo")
		}
	}
	return out
}
