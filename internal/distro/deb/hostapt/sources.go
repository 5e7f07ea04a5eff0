package hostapt

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"sort"
	"strings"

	"slipway/internal/distro/deb/control"
	"slipway/internal/fetch"
)

// Entry is one address with one suite of the host's sources (type deb only).
type Entry struct {
	URL        string // http, https or file; without credentials
	Suite      string
	Components []string
	SignedBy   string // path or key as written
	File       string // where it stands
}

// stanza is a source before it is split into entries.
type stanza struct {
	types, urls, suites, components []string
	options                         map[string]string // lower-case names
}

func (h *Host) readSources() error {
	names := append(h.parts("/etc/apt/sources.list.d", ".list", ".sources"), "/etc/apt/sources.list")
	sort.SliceStable(names, func(i, j int) bool { return names[i] == "/etc/apt/sources.list" && names[j] != names[i] })
	return h.each(names, func(name, text string) error {
		parse := parseOneLine
		if strings.HasSuffix(name, ".sources") {
			parse = parseDeb822
		}
		list, err := parse(text)
		for _, s := range list {
			h.addStanza(name, s)
		}
		return err
	})
}

// parseOneLine reads the one-line style of sources.list(5).
func parseOneLine(text string) ([]stanza, error) {
	var list []stanza
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s, err := parseLine(line)
		if err != nil {
			return list, fmt.Errorf("line %d: %w", n+1, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func parseLine(line string) (stanza, error) {
	s := stanza{options: map[string]string{}}
	kind, rest := cutBlank(line)
	s.types = []string{kind}
	if after, ok := strings.CutPrefix(rest, "["); ok {
		inside, after, closed := strings.Cut(after, "]")
		if !closed {
			return s, errors.New("the options have no closing bracket")
		}
		for _, option := range strings.Fields(inside) {
			key, value, _ := strings.Cut(option, "=")
			s.options[strings.ToLower(strings.TrimRight(key, "+-"))] = value
		}
		rest = strings.TrimSpace(after)
	}
	if strings.HasPrefix(rest, "cdrom:") { // its address may hold blanks in brackets
		s.urls = []string{"cdrom:"}
		return s, nil
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return s, errors.New("an address and a suite are expected")
	}
	s.urls, s.suites, s.components = fields[:1], fields[1:2], fields[2:]
	return s, nil
}

func cutBlank(s string) (first, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// parseDeb822 reads the deb822 style of sources.list(5).
func parseDeb822(text string) ([]stanza, error) {
	var list []stanza
	reader := control.NewReader(strings.NewReader(text))
	for {
		par, err := reader.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if no(par.Get("Enabled")) {
			continue
		}
		s := stanza{
			types: strings.Fields(par.Get("Types")), urls: strings.Fields(par.Get("URIs")), suites: strings.Fields(par.Get("Suites")),
			components: strings.Fields(par.Get("Components")), options: map[string]string{},
		}
		for _, f := range par.Fields {
			s.options[strings.ToLower(f.Name)] = strings.TrimSpace(string(f.Value))
		}
		list = append(list, s)
	}
}

// weakOptions are the options of a source that would lower the bar.
var weakOptions = map[string]func(string) bool{
	"trusted": yes, "allow-insecure": yes, "allow-weak": yes, "allow-downgrade-to-insecure": yes,
	"check-valid-until": no, "check-date": no,
}

// addStanza splits a source into entries.
func (h *Host) addStanza(file string, s stanza) {
	isDeb := false
	for _, kind := range s.types {
		isDeb = isDeb || kind == "deb"
	}
	if !isDeb {
		return
	}
	var weak []string
	for key, lowers := range weakOptions {
		if lowers(s.options[key]) {
			weak = append(weak, key)
		}
	}
	sort.Strings(weak)
	for _, address := range s.urls {
		u, ok := h.address(file, address)
		if !ok {
			continue
		}
		for _, key := range weak {
			h.ignore("%s=%s of %s in %s", key, s.options[key], u, file)
		}
		for _, suite := range s.suites {
			h.Entries = append(h.Entries, Entry{URL: u, Suite: suite, Components: s.components, SignedBy: s.options["signed-by"], File: file})
		}
	}
}

// address checks a source's address and moves credentials in it to where
// they are sent to their host only.
func (h *Host) address(file, address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil {
		h.note("an address in %s cannot be read", file)
		return "", false
	}
	switch u.Scheme {
	case "copy":
		u.Scheme = "file"
	case "http", "https", "file":
	default:
		h.note("a %s: address in %s is not used", u.Scheme, file)
		return "", false
	}
	if u.User != nil {
		password, _ := u.User.Password()
		h.Transport.Auth = append(h.Transport.Auth, fetch.Credential{Scheme: u.Scheme, Host: u.Host, Login: u.User.Username(), Password: password})
		u.User = nil
	}
	if u.Scheme == "file" {
		return "file://" + strings.TrimSuffix(u.EscapedPath(), "/"), true
	}
	return strings.TrimSuffix(u.String(), "/"), true
}

// codenames are the base suites of a distribution by which its own archive
// is told from others.
var codenames = map[string][]string{
	"debian": {"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid", "stable", "oldstable", "oldoldstable", "testing", "unstable"},
	"ubuntu": {"focal", "jammy", "noble", "plucky", "questing", "resolute"},
}

// domains are the distributions' own.
var domains = map[string]string{"debian": "debian.org", "ubuntu": "ubuntu.com"}

// Mirror picks the addresses of the distribution's archive and security
// archive. See the function of the same name.
func (h *Host) Mirror(distro string) (main, security string) {
	if h.Distro != distro {
		return "", ""
	}
	var best, bestSecurity int
	for _, e := range h.Entries {
		release, pocket := h.split(distro, e.Suite)
		if release == "" {
			continue
		}
		score := h.score(distro, e)
		switch {
		case pocket == "" && score > best:
			main, best = e.URL, score
		case pocket == "security" && score > bestSecurity:
			security, bestSecurity = e.URL, score
		}
	}
	if main == "" {
		return "", ""
	}
	return main, security
}

// split cuts a suite into the release and the pocket ("", "updates",
// "security"...). The release is empty if it is not one of the distribution.
func (h *Host) split(distro, suite string) (release, pocket string) {
	release, pocket, _ = strings.Cut(strings.TrimSuffix(suite, "/updates"), "-")
	if strings.HasSuffix(suite, "/updates") {
		pocket = "security"
	}
	if release == h.Codename || oneOf(release, codenames[distro]...) {
		return release, pocket
	}
	return "", ""
}

// score is how sure it is that the entry is of the distribution's own
// archive: others use its codenames as well. 0 means that it is not.
func (h *Host) score(distro string, e Entry) int {
	score := 0
	key := path.Base(e.SignedBy)
	switch {
	case strings.HasPrefix(key, distro+"-archive-"):
		score += 4
	case e.SignedBy != "" && strings.HasPrefix(e.SignedBy, "/"):
		return 0 // signed with somebody else's key
	}
	if !oneOf("main", e.Components...) {
		return 0
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return 0
	}
	if base := path.Base(u.Path); base == distro || base == distro+"-security" || base == distro+"-ports" {
		score += 2
	}
	if strings.HasSuffix(u.Hostname(), "."+domains[distro]) {
		score += 2
	}
	for _, other := range h.Entries {
		release, pocket := h.split(distro, other.Suite)
		if release != "" && pocket == "updates" && other.URL == e.URL {
			score++
			break
		}
	}
	return score
}
