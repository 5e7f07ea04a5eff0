package anaconda

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Options are what a kickstart may not say.
type Options struct {
	Name   string // of the machine, where the kickstart names no host
	System string // such as alma/9, where no address of the kickstart tells
}

// Imported is a definition made from a kickstart.
type Imported struct {
	Name     string
	YAML     []byte
	Warnings []string // one line each, with the kickstart's line number
	// Hashes are crypt(3) hashes by user; the definition refers to them as
	// NAME.hash beside it.
	Hashes map[string]string
}

// importer collects what the statements say.
type importer struct {
	opt      Options
	out      Imported
	system   string
	hostname string
	keys     map[string][]string // top-level key: lines of YAML below it
	scalars  map[string]string
	users    map[string]*user
	order    []string
	base     string
	mirror   string
	enable   []string
	disable  []string
	packages []string
	disk     []string // lines of partitions
	table    string
	target   string // netboot.disk
	keyboard string
	boot     []string
	cmdline  []string
	weak     bool
	comments []string
}

type user struct {
	name, comment, home, shell, uid, group string
	groups, keys                           []string
	sudo                                   string
	hash                                   bool
}

// Import makes a definition. The error says what makes the text no kickstart.
func Import(text string, opt Options) (*Imported, error) {
	statements, err := read(text)
	if err != nil {
		return nil, err
	}
	m := &importer{opt: opt, keys: map[string][]string{}, scalars: map[string]string{}, users: map[string]*user{}}
	m.out.Hashes = map[string]string{}
	m.release(text)
	for i := range statements {
		m.statement(&statements[i])
	}
	return m.finish()
}

// release is in the first line that Anaconda writes.
func (m *importer) release(text string) {
	m.system = m.opt.System
	if found := regexp.MustCompile(`(?m)^# ?version=RHEL([0-9]+)`).FindStringSubmatch(text); found != nil && m.system == "" {
		m.system = "alma/" + found[1]
	}
}

// warn adds a comment and a warning about a statement. What is shown never
// holds a password.
func (m *importer) warn(s *statement, why string) {
	shown := strings.Join(redact(s.words), " ")
	if len(shown) > 160 {
		shown = strings.ToValidUTF8(shown[:160], "") + " ..."
	}
	shown = oneLine(shown)
	m.comments = append(m.comments, fmt.Sprintf("line %d: %s: %s", s.line, shown, why))
	m.out.Warnings = append(m.out.Warnings, fmt.Sprintf("%d: %s: %s", s.line, shown, why))
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return ' '
		}
		return r
	}, s)
}

// redact hides the values of passwords.
func redact(words []string) []string {
	out := slices.Clone(words)
	for i, w := range out {
		lower := strings.ToLower(w)
		if name, _, value := strings.Cut(w, "="); value && (strings.Contains(lower, "pass") || strings.Contains(lower, "wpakey") || strings.Contains(lower, "wepkey") || strings.Contains(lower, "secret")) {
			out[i] = name + "=..."
		} else if strings.HasPrefix(w, "$") || i > 0 && (out[0] == "rootpw" || out[0] == "sshpw") && !strings.HasPrefix(w, "--") {
			out[i] = "..."
		} else if strings.Contains(w, "://") && strings.Contains(w, "@") {
			out[i] = "..."
		}
		if i > 0 && strings.HasPrefix(out[i-1], "--") && strings.Contains(strings.ToLower(out[i-1]), "pass") && !strings.Contains(out[i-1], "=") {
			out[i] = "..."
		}
	}
	return out
}

// silent are commands about the installation, which slipway decides itself.
var silent = map[string]bool{
	"text": true, "graphical": true, "cmdline": true, "reboot": true, "poweroff": true, "shutdown": true, "halt": true, "skipx": true,
	"eula": true, "zerombr": true, "install": true, "cdrom": true, "auth": true, "authselect": true, "authconfig": true, "logging": true,
	"unsupported_hardware": true, "autostep": true, "interactive": true, "sshpw": true,
}

func (m *importer) statement(s *statement) {
	if s.err != nil {
		m.warn(&statement{line: s.line, words: []string{"a line"}}, s.err.Error())
		return
	}
	handlers := map[string]func(*statement){
		"lang": m.lang, "keyboard": m.keyboardLayout, "timezone": m.timezone, "network": m.network, "url": m.url, "repo": m.repo,
		"rootpw": m.rootpw, "user": m.user, "sshkey": m.sshkey, "group": m.groupStatement, "services": m.services, "firstboot": m.firstboot,
		"ignoredisk": m.ignoredisk, "clearpart": m.clearpart, "part": m.part, "partition": m.part, "bootloader": m.bootloader, "autopart": m.autopart,
		"selinux": m.selinux, "firewall": m.firewall, "%packages": m.packagesSection, "%post": m.post, "%addon": m.addon, "%anaconda": m.ignore,
	}
	if handle := handlers[s.name()]; handle != nil {
		handle(s)
		return
	}
	if !silent[s.name()] {
		m.warn(s, "a definition cannot say this")
	}
}

func (m *importer) ignore(*statement) {}

func (m *importer) lang(s *statement) {
	options, rest := s.options("addsupport")
	if len(rest) > 0 {
		m.scalars["locale"] = rest[0]
	}
	if options["addsupport"] != "" {
		m.warn(s, "further locales are not kept")
	}
}

func (m *importer) keyboardLayout(s *statement) {
	options, rest := s.options("xlayouts", "vckeymap", "switch")
	layout := options["xlayouts"]
	if layout == "" {
		layout = options["vckeymap"]
	}
	if layout == "" && len(rest) > 0 {
		layout = rest[0]
	}
	first, more, several := strings.Cut(layout, ",")
	first, variant, _ := strings.Cut(first, " ")
	m.keyboard = first
	if several || variant != "" || more != "" {
		m.warn(s, "only the first layout is kept")
	}
}

func (m *importer) timezone(s *statement) {
	options, rest := s.options("ntpservers")
	if len(rest) > 0 {
		m.scalars["timezone"] = rest[0]
	}
	if options["ntpservers"] != "" {
		m.warn(s, "time servers are set with files, in /etc/chrony.conf")
	}
}

// known are addresses that tell the system, with the base of its layout.
var known = []struct {
	pattern *regexp.Regexp
	system  string
}{
	{regexp.MustCompile(`^(https?://.*?almalinux)/([0-9.]+)/(BaseOS|AppStream|CRB|extras|HighAvailability)/`), "alma"},
	{regexp.MustCompile(`^(https?://.*?rocky(?:linux)?)/([0-9.]+)/(BaseOS|AppStream|CRB|extras|HighAvailability)/`), "rocky"},
	{regexp.MustCompile(`^(https?://.*?fedora/linux)/(?:releases|updates)/([0-9]+)/(Everything|Server|Workstation)/`), "fedora"},
}

// recognise finds system and mirror of an address.
func (m *importer) recognise(address string) (part string, ok bool) {
	for _, k := range known {
		if found := k.pattern.FindStringSubmatch(address + "/"); found != nil {
			release, _, _ := strings.Cut(found[2], ".")
			m.system = k.system + "/" + release
			m.mirror = found[1]
			return found[3], true
		}
	}
	return "", false
}

func (m *importer) url(s *statement) {
	options, _ := s.options("url", "mirrorlist", "metalink", "proxy")
	if part, ok := m.recognise(options["url"]); ok && part != "" {
		return
	}
	m.warn(s, "the address is none of a known layout; set system and mirror")
}

func (m *importer) repo(s *statement) {
	options, _ := s.options("name", "baseurl", "mirrorlist", "metalink", "cost")
	address := options["baseurl"]
	for _, k := range known {
		if found := k.pattern.FindStringSubmatch(address + "/"); found != nil && (found[3] == "AppStream" || found[3] == "BaseOS" || found[3] == "Everything") {
			if m.mirror == "" {
				m.recognise(address)
			}
			return // every machine of that system has it
		}
	}
	if address == "" {
		if name := options["name"]; strings.EqualFold(name, "AppStream") || strings.EqualFold(name, "BaseOS") {
			return
		}
		m.warn(s, "a repository needs a baseurl")
		return
	}
	line := "url: " + quote(address)
	if name := options["name"]; name != "" {
		line = "name: " + quote(name) + ", " + line
	}
	m.add("repositories", "{"+line+"}")
	for _, o := range []string{"includepkgs", "excludepkgs", "proxy", "noverifyssl"} {
		if _, given := options[o]; given {
			m.warn(s, "--"+o+" is not kept")
			return
		}
	}
}

func (m *importer) add(key, line string) { m.keys[key] = append(m.keys[key], line) }

func (m *importer) services(s *statement) {
	options, _ := s.options("enabled", "disabled")
	m.enable = append(m.enable, list(options["enabled"])...)
	m.disable = append(m.disable, list(options["disabled"])...)
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (m *importer) firstboot(s *statement) {
	options, _ := s.options()
	if _, on := options["enable"]; on {
		m.enable = append(m.enable, "initial-setup")
	}
}

func (m *importer) selinux(s *statement) {
	if o, _ := s.options(); len(o) > 0 {
		if _, normal := o["enforcing"]; !normal {
			m.warn(s, "write it with files, in /etc/selinux/config")
		}
	}
}

func (m *importer) firewall(s *statement) {
	options, _ := s.options("service", "port", "trust")
	if _, off := options["disabled"]; off {
		m.disable = append(m.disable, "firewalld")
		return
	}
	if len(options) > 1 {
		m.warn(s, "write it in run, with firewall-offline-cmd")
	}
}

func (m *importer) addon(s *statement) {
	if len(s.words) > 1 && s.words[1] == "com_redhat_kdump" {
		if contains(s.words, "--enable") {
			m.enable = append(m.enable, "kdump")
		}
		return
	}
	m.warn(s, "a definition knows no such add-on")
}

// post is a command of the definition where it runs inside, in a shell.
func (m *importer) post(s *statement) {
	options, _ := s.options("interpreter", "log", "logfile")
	_, outside := options["nochroot"]
	shell := path.Base(options["interpreter"])
	if outside || options["interpreter"] != "" && shell != "sh" && shell != "bash" {
		m.warn(s, "only scripts of a shell that run inside become run")
		return
	}
	body := strings.TrimSpace(strings.Join(s.body, "\n"))
	if body != "" {
		m.add("run", "{command: "+quote(body)+", network: true}")
	}
}
