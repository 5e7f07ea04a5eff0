package hostapt

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/internal/fetch"
)

// setting is one value of apt.conf: its path in lower case, "::" between the
// parts.
type setting struct{ name, value string }

// Limits of a configuration file.
const (
	maxSettings = 1 << 14
	maxDepth    = 64
)

// parseConf reads the text of one file of apt.conf(5). Values of lists have
// a name that ends in "::". Directives (#clear, #include) are skipped.
func parseConf(text string) ([]setting, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	var (
		list   []setting
		scopes []string // full names of the open blocks
		words  []string // of the statement under way
	)
	full := func(name string) string {
		name = strings.ToLower(name)
		if len(scopes) == 0 {
			return name
		}
		return scopes[len(scopes)-1] + "::" + name
	}
	end := func() {
		switch {
		case len(words) == 0:
		case len(words) == 1 && len(scopes) > 0: // an element of a list
			list = append(list, setting{scopes[len(scopes)-1] + "::", words[0]})
		default:
			list = append(list, setting{full(words[0]), strings.Join(words[1:], " ")})
		}
		words = nil
	}
	for _, t := range tokens {
		switch {
		case t.quoted || len(t.text) != 1 || !strings.Contains("{};", t.text):
			words = append(words, t.text)
		case t.text == ";":
			end()
		case t.text == "{":
			if len(scopes) == maxDepth {
				return nil, fmt.Errorf("more than %d nested blocks", maxDepth)
			}
			name := ""
			if len(words) > 0 {
				name = words[0]
			}
			if len(words) > 1 { // "name value { ... }" also gives a value
				list = append(list, setting{full(name), words[1]})
			}
			scopes = append(scopes, full(name))
			words = nil
		default: // "}"
			end()
			if len(scopes) == 0 {
				return nil, errors.New("a closing brace without an opening one")
			}
			scopes = scopes[:len(scopes)-1]
		}
		if len(list) > maxSettings {
			return nil, fmt.Errorf("more than %d settings", maxSettings)
		}
	}
	if len(scopes) > 0 {
		return nil, errors.New("a block is not closed")
	}
	end()
	return list, nil
}

type token struct {
	text   string
	quoted bool
}

// tokenize splits into words, quoted strings and the signs { } ;
func tokenize(s string) ([]token, error) {
	var list []token
	for s != "" {
		switch {
		case strings.ContainsRune(" \t\r\n", rune(s[0])):
			s = s[1:]
		case strings.HasPrefix(s, "//"), s[0] == '#':
			_, s, _ = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			_, after, closed := strings.Cut(s[2:], "*/")
			if !closed {
				return nil, errors.New("a comment is not closed")
			}
			s = after
		case s[0] == '"':
			text, after, closed := strings.Cut(s[1:], `"`)
			if !closed {
				return nil, errors.New("a quoted value is not closed")
			}
			list, s = append(list, token{text, true}), after
		case strings.ContainsRune("{};", rune(s[0])):
			list, s = append(list, token{text: s[:1]}), s[1:]
		default:
			n := strings.IndexAny(s, " \t\r\n\"{};")
			if n < 0 {
				n = len(s)
			}
			list, s = append(list, token{text: s[:n]}), s[n:]
		}
	}
	return list, nil
}

func (h *Host) readConf() error {
	names := append(h.parts("/etc/apt/apt.conf.d", ".conf", ""), "/etc/apt/apt.conf")
	err := h.each(names, func(name, text string) error {
		list, err := parseConf(text)
		for _, s := range list {
			h.apply(name, s)
		}
		return err
	})
	h.inherit()
	return err
}

// inherit lets https use what is set for http only (apt-transport-https(1)).
func (h *Host) inherit() {
	t := &h.Transport
	if t.HTTPSProxy == "" {
		t.HTTPSProxy = t.HTTPProxy
	}
	for name, value := range t.HostProxy {
		if host, ok := strings.CutPrefix(name, "http://"); ok {
			if _, own := t.HostProxy["https://"+host]; !own {
				t.HostProxy["https://"+host] = value
			}
		}
	}
}

// weakening are the options that would lower the bar, and the value that
// does it.
var weakening = map[string]func(string) bool{
	"acquire::check-valid-until":                    no,
	"acquire::check-date":                           no,
	"acquire::allowinsecurerepositories":            yes,
	"acquire::allowweakrepositories":                yes,
	"acquire::allowdowngradetoinsecurerepositories": yes,
	"apt::get::allowunauthenticated":                yes,
	"acquire::https::verify-peer":                   no,
	"acquire::https::verify-host":                   no,
}

// apply takes one setting over, if it is about transport.
func (h *Host) apply(file string, s setting) {
	if weak, ok := weakening[s.name]; ok {
		if weak(s.value) {
			h.ignore("%s %q in %s", s.name, s.value, file)
		}
		return
	}
	rest, ok := strings.CutPrefix(s.name, "acquire::")
	if !ok {
		return
	}
	scheme, rest, _ := strings.Cut(rest, "::")
	if scheme != "http" && scheme != "https" {
		return
	}
	switch key, host, perHost := strings.Cut(rest, "::"); {
	case key == "proxy":
		h.proxy(scheme, host, perHost, s.value)
	case key == "proxy-auto-detect" || key == "proxyautodetect":
		h.note("%s in %s is not run; set Acquire::%s::Proxy or %s_proxy", s.name, file, scheme, scheme)
	case scheme != "https":
	case perHost && (host == "verify-peer" || host == "verify-host"), key == "verify-peer", key == "verify-host":
		if no(s.value) {
			h.ignore("%s %q in %s", s.name, s.value, file)
		}
	case !perHost:
		h.tlsOption(&h.Transport.TLS, key, s.value)
	default: // Acquire::https::host::CaInfo, or CaInfo::host
		if isTLSOption(host) {
			key, host = host, key
		}
		h.hostTLS(key, host, s.value)
	}
}

func (h *Host) proxy(scheme, host string, perHost bool, value string) {
	value = absoluteProxy(value)
	t := &h.Transport
	switch {
	case perHost && host != "":
		if t.HostProxy == nil {
			t.HostProxy = map[string]string{}
		}
		t.HostProxy[scheme+"://"+host] = value
	case scheme == "http":
		t.HTTPProxy = value
	default:
		t.HTTPSProxy = value
	}
}

// absoluteProxy accepts "host:port" too; an empty value means no proxy.
func absoluteProxy(value string) string {
	switch {
	case value == "", strings.EqualFold(value, "DIRECT"), strings.EqualFold(value, "false"):
		return "DIRECT"
	case !strings.Contains(value, "://"):
		return "http://" + value
	}
	return value
}

func isTLSOption(key string) bool { return oneOf(key, "cainfo", "sslcert", "sslkey") }

func (h *Host) tlsOption(files *fetch.TLS, key, value string) {
	path := filepath.Join(h.root, value)
	switch key {
	case "cainfo":
		files.CAFile = path
	case "sslcert":
		files.CertFile = path
	case "sslkey":
		files.KeyFile = path
	}
}

func (h *Host) hostTLS(key, host, value string) {
	if !isTLSOption(key) || host == "" {
		return
	}
	if h.Transport.HostTLS == nil {
		h.Transport.HostTLS = map[string]fetch.TLS{}
	}
	files := h.Transport.HostTLS[host]
	h.tlsOption(&files, key, value)
	h.Transport.HostTLS[host] = files
}
